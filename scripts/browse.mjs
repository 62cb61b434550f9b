#!/usr/bin/env node
// Usage: scripts/browse.mjs URL PICTURE TEXT...
//
// Opens a page in headless Chromium, waits until it shows every TEXT (a minute at most), and saves a picture of it.
// Chromium is told what to do over its debugging pipe: its "virtual time" does not wait for WebSockets.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PATIENCE_MS = 60_000;
const [url, picture, ...texts] = process.argv.slice(2);
if (!picture) {
  console.error('usage: browse.mjs URL PICTURE TEXT...');
  process.exit(2);
}

const profile = mkdtempSync(join(tmpdir(), 'gpu-charts-browser.'));
const flags = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--window-size=1280,760', `--user-data-dir=${profile}`,
  '--remote-debugging-pipe',
];
const browser = spawn('chromium', flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
const gone = new Promise((_, reject) => {
  browser.on('error', reject);
  browser.on('exit', (code) => reject(new Error(`chromium ended with ${code}`)));
});
gone.catch(() => {});

// Messages are JSON, each with a NUL behind it.
const waiting = new Map();
let received = '';
browser.stdio[4].setEncoding('utf8').on('data', (chunk) => {
  const messages = (received + chunk).split('\0');
  received = messages.pop();
  for (const message of messages.map((text) => JSON.parse(text))) {
    const answer = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error) answer?.reject(new Error(message.error.message));
    else answer?.resolve(message.result);
  }
});
let asked = 0;
function ask(method, params = {}, sessionId = undefined) {
  const answer = new Promise((resolve, reject) => waiting.set(++asked, { resolve, reject }));
  browser.stdio[3].write(`${JSON.stringify({ id: asked, method, params, sessionId })}\0`);
  return Promise.race([answer, gone]);
}

async function browse() {
  const { targetId } = await ask('Target.createTarget', { url });
  const { sessionId } = await ask('Target.attachToTarget', { targetId, flatten: true });
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const expression = 'document.body?.innerText ?? ""';
    const { result } = await ask('Runtime.evaluate', { expression, returnByValue: true }, sessionId);
    const missing = texts.filter((text) => !result.value.includes(text));
    if (missing.length === 0) break;
    if (Date.now() > until) throw new Error(`the page does not show ${missing.join(', ')}; it shows:\n${result.value}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const { data } = await ask('Page.captureScreenshot', { format: 'png' }, sessionId);
  writeFileSync(picture, Buffer.from(data, 'base64'));
}

let failed = false;
await browse().catch((error) => {
  console.error(`browse.mjs: ${error.message}`);
  failed = true;
});
browser.kill();
await gone.catch(() => {});
rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
process.exit(failed ? 1 : 0);
