// Usage: node follow.mjs ADDRESS SINCE [ROWS]: new rows over /api/stream from SINCE (Unix seconds) on, until ROWS came.
const [base, since, wanted = '1000'] = process.argv.slice(2);
const url = `${base.replace(/^http/, 'ws')}/api/stream`;
let cursor = null;
let rows = 0;

function follow() {
  const socket = new WebSocket(url);
  const wish = { op: 'subscribe', id: 'trades', exchange: 'coinbase', symbol: 'BTC-USD', type: 'TRADES', columns: ['time', 'id', 'price_f64'] };
  socket.onopen = () => {
    // Where we were, or at first a point in time; ns need a string, for they are beyond what numbers hold here.
    socket.send(JSON.stringify(cursor ? { ...wish, cursor } : { ...wish, since_ns: `${since}000000000` }));
  };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.event === 'error') throw new Error(message.error);
    if (message.event !== 'rows') return console.log(data);
    cursor = message.cursor;
    rows += message.rows.length;
    console.log(`${message.rows.length} trades, the last: ${message.rows.at(-1)}; next: ${cursor}`);
    if (rows >= Number(wanted)) process.exit(0);
  };
  socket.onclose = ({ code, reason }) => {
    console.log(`closed: ${code} ${reason}`);
    setTimeout(follow, 1000);
  };
}

follow();
