// Usage: node columns.mjs ADDRESS START END: the plain form as typed arrays, column by column as it arrives.
const [base, start, end] = process.argv.slice(2);
const KINDS = { time: Uint32Array, price_f64: Float64Array, event_id: BigUint64Array };

const query = new URLSearchParams({ symbol: 'BTC-USD', type: 'MD', start, end, columns: Object.keys(KINDS), max_points: 2000, reduce: 'minmax' });
const answer = await fetch(`${base}/api/data?${query}`);
if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);

// The header line may be split over pieces, and so may columns.
let waiting = new Uint8Array(0);
let described = null;
const columns = {};
for await (const piece of answer.body) {
  const joined = new Uint8Array(waiting.length + piece.length);
  joined.set(waiting);
  joined.set(piece, waiting.length);
  waiting = joined;
  if (!described) {
    const newline = waiting.indexOf(10);
    if (newline < 0) continue;
    described = JSON.parse(new TextDecoder().decode(waiting.subarray(0, newline))).columns;
    waiting = waiting.subarray(newline + 1);
  }
  while (described.length && waiting.length >= described[0].data_length) {
    const { name, data_length } = described.shift();
    columns[name] = new KINDS[name](waiting.slice(0, data_length).buffer);
    waiting = waiting.subarray(data_length);
  }
}

const { time, price_f64: price } = columns;
if (!time.length || time.length !== price.length) throw new Error('no rows');
const highest = price.reduce((best, value, i) => (value > price[best] || Number.isNaN(price[best]) ? i : best), 0);
console.log(`${time.length} rows; highest ${price[highest]} at ${new Date(time[highest] * 1000).toISOString()}`);
