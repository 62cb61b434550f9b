// Draws a price line over time, with the spread around it and gaps shaded.
const PAD = { left: 12, right: 76, top: 16, bottom: 28 };
const BREAK_S = 60; // without rows for longer than this the line is interrupted, if no gap says so already

export class Chart {
  #points = [];
  #gaps = [];
  #length = 3600;
  #end = 0;
  #hover = null;
  #due = false;

  constructor(canvas, tip) {
    this.canvas = canvas;
    this.tip = tip;
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia('(prefers-color-scheme: light)').addEventListener('change', () => this.#draw());
    canvas.addEventListener('pointermove', ({ offsetX }) => { this.#hover = offsetX; this.#draw(); });
    canvas.addEventListener('pointerleave', () => { this.#hover = null; this.#draw(); });
  }

  show(points, gaps, length, end) {
    this.#points = points;
    this.#gaps = gaps;
    this.#length = length;
    this.#end = end;
    this.#draw();
  }

  grow(points) {
    this.#points = points;
    this.#end = Math.max(this.#end, points.at(-1).t);
    this.#draw();
  }

  price(value) {
    if (!Number.isFinite(value)) return '–';
    const digits = value >= 1000 ? 2 : value >= 1 ? 4 : 8;
    return value.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: digits });
  }

  // Once a frame, however many rows come.
  #draw() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => { this.#due = false; this.#paint(); });
  }

  #paint() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const g = this.canvas.getContext('2d');
    g.scale(ratio, ratio);
    g.clearRect(0, 0, width, height);
    const start = this.#end - this.#length;
    const points = this.#points.slice(Math.max(0, this.#points.findIndex((point) => point.t >= start)));
    if (!points.length || points[0].t > this.#end) return;
    const [low, high] = this.#bounds(points);
    const x = (t) => PAD.left + ((t - start) / this.#length) * (width - PAD.left - PAD.right);
    const y = (value) => PAD.top + ((high - value) / (high - low)) * (height - PAD.top - PAD.bottom);
    const color = (name) => getComputedStyle(this.canvas).getPropertyValue(name).trim();
    const plot = { g, x, y, low, high, start, width, height, color };
    this.#shade(plot);
    this.#grid(plot);
    g.save();
    g.beginPath();
    g.rect(PAD.left, 0, width - PAD.left - PAD.right, height - PAD.bottom);
    g.clip();
    for (const run of this.#runs(points)) this.#line(plot, run);
    g.restore();
    this.#last(plot, points.at(-1));
    this.#point(plot, points);
  }

  #bounds(points) {
    let [low, high] = [Infinity, -Infinity];
    for (const { price, bid, ask } of points) {
      for (const value of [price, bid, ask]) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    const margin = (high - low) * 0.05 || Math.abs(high) * 0.001 || 1;
    return [low - margin, high + margin];
  }

  #shade({ g, x, start, height, width, color }) {
    for (const { from, to, filled } of this.#gaps) {
      const [left, right] = [Math.max(x(Math.max(from, start)), PAD.left), Math.min(x(to), width - PAD.right)];
      g.fillStyle = color(filled ? '--filled' : '--open');
      // However short, a gap is seen.
      if (right >= left) g.fillRect(left, 0, Math.max(2, right - left), height - PAD.bottom);
    }
  }

  #grid({ g, x, y, low, high, start, width, height, color }) {
    g.strokeStyle = color('--line');
    g.fillStyle = color('--dim');
    g.font = '11px system-ui, sans-serif';
    g.lineWidth = 1;
    g.textBaseline = 'middle';
    g.textAlign = 'left';
    const step = niceStep((high - low) / Math.max(2, height / 70));
    for (let value = Math.ceil(low / step) * step; value < high; value += step) {
      const at = Math.round(y(value)) + 0.5;
      line(g, PAD.left, at, width - PAD.right, at);
      g.fillText(value.toLocaleString('en', { maximumFractionDigits: Math.max(0, -Math.floor(Math.log10(step))) }), width - PAD.right + 8, at);
    }
    g.textAlign = 'center';
    const every = [60, 120, 300, 600, 900, 1800, 3600, 7200, 14400].find((s) => s >= this.#length / (width / 90)) ?? 14400;
    for (let t = Math.ceil(start / every) * every; t < this.#end; t += every) {
      const at = Math.round(x(t)) + 0.5;
      line(g, at, PAD.top, at, height - PAD.bottom);
      if (at > 24 && at < width - PAD.right - 12) g.fillText(clock(t, false), at, height - PAD.bottom / 2);
    }
  }

  // Parts without a gap in them.
  #runs(points) {
    const runs = [[]];
    const gaps = this.#gaps.filter((gap) => !gap.filled);
    for (const point of points) {
      const last = runs.at(-1).at(-1);
      const apart = last && (point.t - last.t > Math.max(BREAK_S, this.#length / 100) || gaps.some(({ from, to }) => last.t <= from + 1 && point.t >= to - 1 && to > from + 1));
      if (apart) runs.push([]);
      runs.at(-1).push(point);
    }
    return runs;
  }

  #line({ g, x, y, color }, run) {
    g.beginPath();
    for (const { t, ask } of run) if (ask > 0) g.lineTo(x(t), y(ask));
    for (const { t, bid } of run.toReversed()) if (bid > 0) g.lineTo(x(t), y(bid));
    g.fillStyle = color('--band');
    g.fill();
    g.beginPath();
    for (const { t, price, bid, ask } of run) {
      // Before the first trade there is none to draw.
      const value = Number.isNaN(price) ? (bid + ask) / 2 : price;
      g.lineTo(x(t), y(value));
    }
    g.strokeStyle = color('--price');
    g.lineWidth = 1.25;
    g.lineJoin = 'round';
    g.stroke();
  }

  #last({ g, y, width, color }, { price, bid, ask }) {
    const value = Number.isNaN(price) ? (bid + ask) / 2 : price;
    const at = Math.round(y(value)) + 0.5;
    g.strokeStyle = color('--price');
    g.setLineDash([3, 3]);
    line(g, PAD.left, at, width - PAD.right, at);
    g.setLineDash([]);
    g.fillStyle = color('--price');
    g.fillRect(width - PAD.right + 1, at - 10, PAD.right - 2, 20);
    g.fillStyle = color('--panel');
    g.font = '600 11px system-ui, sans-serif';
    g.textAlign = 'left';
    g.textBaseline = 'middle';
    g.fillText(this.price(value), width - PAD.right + 8, at + 0.5);
  }

  #point({ g, x, y, start, width, height, color }, points) {
    const inside = this.#hover !== null && this.#hover > PAD.left && this.#hover < width - PAD.right;
    this.tip.hidden = !inside;
    if (!inside) return;
    const t = start + ((this.#hover - PAD.left) / (width - PAD.left - PAD.right)) * this.#length;
    const after = points.findIndex((point) => point.t >= t);
    const [a, b] = [points[Math.max(0, after - 1)], points[after < 0 ? points.length - 1 : after]];
    const point = Math.abs(a.t - t) < Math.abs(b.t - t) ? a : b;
    const at = Math.round(x(point.t)) + 0.5;
    g.strokeStyle = color('--dim');
    line(g, at, 0, at, height - PAD.bottom);
    g.beginPath();
    g.arc(at, y(Number.isNaN(point.price) ? (point.bid + point.ask) / 2 : point.price), 3.5, 0, 7);
    g.fillStyle = color('--price');
    g.fill();
    const gap = this.#gaps.find(({ from, to }) => t >= from && t <= to);
    const lines = [clock(point.t, true), `price ${this.price(point.price)}`, `bid   ${this.price(point.bid)}`, `ask   ${this.price(point.ask)}`];
    if (gap) lines.push(`gap: ${gap.reason}${gap.filled ? ', filled' : ''}`);
    this.tip.textContent = lines.join('\n');
    this.tip.style.left = `${at > width / 2 ? at - this.tip.offsetWidth - 12 : at + 12}px`;
  }
}

function line(g, x1, y1, x2, y2) {
  g.beginPath();
  g.moveTo(x1, y1);
  g.lineTo(x2, y2);
  g.stroke();
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= rough);
}

// UTC, as files and answers are.
function clock(t, exact) {
  const text = new Date(t * 1000).toISOString();
  return exact ? `${text.slice(0, 10)} ${text.slice(11, 23)} UTC` : text.slice(11, 16);
}
