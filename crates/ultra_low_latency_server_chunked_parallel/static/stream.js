// /api/stream: new rows of one series; a connection that breaks goes on at the cursor where it was.
const RETRY_MS = [500, 1000, 2000, 5000, 10000];

export class Stream {
  #cursor = null;
  #closed = false;
  #tries = 0;
  #socket = null;

  constructor(series, columns, on) {
    this.series = { ...series };
    this.columns = columns;
    this.on = on;
    this.#connect();
  }

  close() {
    this.#closed = true;
    this.#socket?.close();
  }

  #connect() {
    const { exchange, symbol } = this.series;
    const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/stream`);
    this.#socket = socket;
    socket.addEventListener('open', () => {
      const wish = { op: 'subscribe', id: 'chart', exchange, symbol, type: 'MD', columns: this.columns };
      if (this.#cursor) wish.cursor = this.#cursor;
      socket.send(JSON.stringify(wish));
    });
    socket.addEventListener('message', ({ data }) => this.#hear(JSON.parse(data)));
    socket.addEventListener('close', ({ reason }) => {
      if (this.#closed) return;
      this.on.state(reason || 'reconnecting', 'late');
      setTimeout(() => this.#closed || this.#connect(), RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)]);
    });
  }

  #hear(message) {
    if (this.#closed) return;
    if (message.event === 'subscribed') {
      this.#tries = 0;
      if (!this.#cursor) this.on.subscribed(message.cursor);
      this.#cursor = message.cursor;
    } else if (message.event === 'rows') {
      this.#cursor = message.cursor;
      this.on.rows(message.rows);
    } else if (message.event === 'live') this.on.state('live', 'good');
    else if (message.event === 'error') this.on.state(message.error, 'bad');
  }
}
