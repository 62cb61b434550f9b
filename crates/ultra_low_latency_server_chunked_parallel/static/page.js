// The page: what is shown, and where it comes from. chart.js draws.
import { Chart } from './chart.js';
import { readColumns } from './columns.js';
import { Stream } from './stream.js';

const RANGES = { '15m': 900, '1h': 3600, '6h': 21600, '1d': 86400 };
const COLUMNS = ['time', 'nanos', 'price_f64', 'best_bid_f64', 'best_ask_f64'];
const POINTS_MAX = 60000; // what live rows may add before the range is fetched anew
const STATUS_MS = 10000;

const element = (id) => document.getElementById(id);
const chart = new Chart(element('canvas'), element('tip'));
const chosen = { exchange: '', symbol: '', range: '1h', ...Object.fromEntries(new URLSearchParams(location.search)) };
if (!RANGES[chosen.range]) chosen.range = '1h';

let points = []; // { t (s), price, bid, ask }, rising
let stream = null;
let request = 0; // answers to anything but the last choice are not shown

async function json(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

const series = () => `exchange=${encodeURIComponent(chosen.exchange)}&symbol=${encodeURIComponent(chosen.symbol)}&type=MD`;

function note(text) {
  element('note').hidden = !text;
  element('note').textContent = text || '';
}

function state(text, kind) {
  element('state').querySelector('b').textContent = text;
  element('state').querySelector('i').className = kind;
}

async function load() {
  const mine = ++request;
  stream?.close();
  points = [];
  history.replaceState(null, '', `?${new URLSearchParams(chosen)}`);
  element('name').textContent = `${chosen.exchange} · ${chosen.symbol}`;
  document.title = `${chosen.symbol} · GPU Charts`;
  for (const button of document.querySelectorAll('#ranges button')) button.setAttribute('aria-pressed', button.value === chosen.range);
  for (const button of document.querySelectorAll('#symbols button')) {
    button.setAttribute('aria-pressed', button.value === `${chosen.exchange} ${chosen.symbol}`);
  }
  // The stream first: what is committed from here on comes over it, what was before is fetched.
  stream = new Stream(chosen, COLUMNS, {
    state: (text, kind) => mine === request && state(text, kind),
    rows: (rows) => mine === request && add(rows),
    subscribed: (cursor) => mine === request && fetchRange(mine, cursor).catch((error) => note(error.message)),
  });
}

async function fetchRange(mine, cursor) {
  const length = RANGES[chosen.range];
  let end = Math.floor(Date.now() / 1000);
  let found = await rowsOf(end - length, end);
  if (!found.length) {
    // Nothing lately: show the end of the newest day instead.
    const [day, month, year] = cursor.split(':')[0].split('.').map(Number);
    const midnight = Date.UTC(2000 + year, month - 1, day) / 1000;
    const day_rows = await rowsOf(midnight, midnight + 86399);
    if (day_rows.length) {
      end = Math.ceil(day_rows.at(-1).t);
      found = await rowsOf(end - length, end);
    }
  }
  const answer = await json(`/api/gaps?${series()}&start=${end - length}&end=${end}`);
  if (mine !== request) return;
  const last = found.at(-1)?.t ?? 0;
  points = found.concat(points.filter((point) => point.t > last));
  const gaps = answer.gaps.map((gap) => ({ from: gap.from_ns / 1e9, to: gap.to_ns / 1e9, filled: gap.state === 'filled', reason: gap.reason }));
  chart.show(points, gaps, length, end);
  note(points.length ? '' : 'Nothing was recorded in this range.');
  summarize();
}

async function rowsOf(start, end) {
  const wanted = Math.max(400, Math.round(element('canvas').clientWidth * 2));
  const url = `/api/data?${series()}&start=${start}&end=${end}&columns=${COLUMNS}&max_points=${wanted}&reduce=minmax&reduce_column=best_bid_f64`;
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(await answer.text());
  const [time, nanos, price, bid, ask] = readColumns(await answer.arrayBuffer(), ['u32', 'u32', 'f64', 'f64', 'f64']);
  return Array.from(time, (second, i) => ({ t: second + nanos[i] / 1e9, price: price[i], bid: bid[i], ask: ask[i] }));
}

function add(rows) {
  const number = (cell) => (cell === null ? NaN : cell);
  for (const [time, nanos, price, bid, ask] of rows) {
    points.push({ t: time + nanos / 1e9, price: number(price), bid: number(bid), ask: number(ask) });
  }
  if (points.length > POINTS_MAX) load();
  else if (rows.length) {
    note('');
    chart.grow(points);
    summarize();
  }
}

function summarize() {
  const shown = points.filter((point) => !Number.isNaN(point.price));
  const last = points.at(-1);
  if (!last) return;
  const price = shown.at(-1)?.price ?? (last.bid + last.ask) / 2;
  const first = shown[0]?.price ?? price;
  const change = price / first - 1;
  element('price').textContent = chart.price(price);
  element('change').textContent = `${change < 0 ? '' : '+'}${(change * 100).toFixed(2)} % in ${chosen.range}`;
  element('change').className = change < 0 ? 'down' : 'up';
  element('spread').textContent = `bid ${chart.price(last.bid)}  ask ${chart.price(last.ask)}`;
  element('count').textContent = `${points.length.toLocaleString('en')} points`;
}

function choose(exchange, symbol) {
  Object.assign(chosen, { exchange, symbol });
  element('results').hidden = true;
  element('query').setAttribute('aria-expanded', false);
  element('query').value = '';
  load();
}

function button(text, value, click) {
  const made = document.createElement('button');
  Object.assign(made, { type: 'button', textContent: text, value });
  made.addEventListener('click', click);
  return made;
}

async function listSymbols() {
  const { exchanges } = await json('/api/symbols');
  const parts = [];
  for (const [exchange, symbols] of Object.entries(exchanges)) {
    const title = document.createElement('h4');
    title.textContent = exchange;
    parts.push(title, ...symbols.slice(0, 50).map((symbol) => button(symbol, `${exchange} ${symbol}`, () => choose(exchange, symbol))));
  }
  element('symbols').replaceChildren(...parts);
  return exchanges;
}

async function showHealth() {
  try {
    const { exchanges } = await json('/api/status');
    const rows = exchanges.map(({ exchange, last_update }) => {
      const age = Date.now() / 1000 - last_update;
      const row = document.createElement('tr');
      const dot = document.createElement('i');
      dot.className = age < 60 ? 'good' : age < 600 ? 'late' : 'bad';
      const [name, when] = [row.insertCell(), row.insertCell()];
      name.append(dot, exchange);
      when.textContent = last_update ? `${ago(age)} ago` : 'nothing in 3 days';
      return row;
    });
    element('health').tBodies[0].replaceChildren(...rows);
  } catch (error) {
    const row = document.createElement('tr');
    row.insertCell().textContent = `the server does not answer: ${error.message}`;
    element('health').tBodies[0].replaceChildren(row);
  }
}

function ago(seconds) {
  const steps = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const [length, unit] = steps.find(([length]) => seconds >= length) ?? steps[3];
  return `${Math.max(0, Math.floor(seconds / length))} ${unit}`;
}

async function search() {
  const query = element('query').value.trim();
  const { results } = query ? await json(`/api/symbol-search?q=${encodeURIComponent(query)}`) : { results: [] };
  if (query !== element('query').value.trim()) return;
  const items = results.flatMap(({ display_name, exchanges }) => exchanges.map(({ exchange, symbol }) => {
    const item = document.createElement('li');
    const place = document.createElement('small');
    place.textContent = `${exchange} ${symbol}`;
    item.role = 'option';
    item.append(display_name, place);
    item.addEventListener('pointerdown', () => choose(exchange, symbol));
    return item;
  }));
  items[0]?.setAttribute('aria-selected', true);
  element('results').replaceChildren(...items);
  element('results').hidden = !items.length;
  element('query').setAttribute('aria-expanded', Boolean(items.length));
}

element('query').addEventListener('input', () => search().catch(() => {}));
element('query').addEventListener('keydown', (event) => {
  const items = [...element('results').children];
  const at = items.findIndex((item) => item.getAttribute('aria-selected'));
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && items.length) {
    event.preventDefault();
    items[at]?.removeAttribute('aria-selected');
    items[(at + step + items.length) % items.length].setAttribute('aria-selected', true);
  } else if (event.key === 'Escape') element('results').hidden = true;
});
element('search').addEventListener('submit', (event) => {
  event.preventDefault();
  element('results').querySelector('[aria-selected]')?.dispatchEvent(new Event('pointerdown'));
});
element('query').addEventListener('blur', () => { element('results').hidden = true; });

for (const range of Object.keys(RANGES)) {
  element('ranges').append(button(range, range, () => { chosen.range = range; load(); }));
}
showHealth();
setInterval(showHealth, STATUS_MS);
setInterval(() => listSymbols().catch(() => {}), STATUS_MS);
try {
  const exchanges = await listSymbols();
  if (!exchanges[chosen.exchange]?.includes(chosen.symbol)) {
    const [exchange] = exchanges.coinbase ? ['coinbase'] : Object.keys(exchanges);
    const symbols = exchanges[exchange] ?? [];
    Object.assign(chosen, { exchange, symbol: symbols.includes('BTC-USD') ? 'BTC-USD' : symbols[0] });
  }
  if (chosen.symbol) load();
  else {
    state('waiting', 'late');
    note('Nothing is recorded yet. This page finds out by itself.');
    setTimeout(() => location.reload(), STATUS_MS);
  }
} catch (error) {
  state('offline', 'bad');
  note(error.message);
}
