"""A plain recorder of Binance's quotes and trades: a list of rows for each symbol, written to a file per column twice a second.

Usage: peer.py record HOST:PORT SYMBOLS DIRECTORY
"""

import asyncio
import json
import os
import resource
import sys
import time
from array import array

import websockets

COLUMNS = ["time", "nanos", "price", "volume", "side", "best_bid", "best_ask"]
FLUSH = 0.5


class Series:
    def __init__(self, directory):
        os.makedirs(directory)
        self.files = [open(f"{directory}/{column}.bin", "wb", buffering=0) for column in COLUMNS]
        self.columns = [array(kind) for kind in "IIffIff"]
        self.trade = (float("nan"), float("nan"), 2)
        self.quote = (float("nan"), float("nan"))

    def take(self, data):
        if data.get("e") == "trade":
            self.trade = (float(data["p"]), float(data["q"]), int(data["m"]))
        else:
            self.quote = (float(data["b"]), float(data["a"]))
        now = time.time_ns()
        row = (now // 1_000_000_000, now % 1_000_000_000, *self.trade, *self.quote)
        for column, cell in zip(self.columns, row):
            column.append(cell)

    def flush(self):
        for file, column in zip(self.files, self.columns):
            file.write(column.tobytes())
            del column[:]


async def carry(address, symbols, directory):
    async with websockets.connect(f"ws://{address}/stream", compression=None, ping_interval=None) as socket:
        streams = [f"{symbol.lower()}@{stream}" for symbol in symbols for stream in ("trade", "bookTicker")]
        for first in range(0, len(streams), 200):
            request = {"method": "SUBSCRIBE", "params": streams[first : first + 200], "id": first}
            await socket.send(json.dumps(request))
        series = {symbol: Series(f"{directory}/data/binance/{symbol}/MD") for symbol in symbols}
        flush = time.monotonic() + FLUSH
        async for text in socket:
            data = json.loads(text).get("data")
            if data is None:
                continue
            series[data["s"]].take(data)
            if time.monotonic() >= flush:
                for each in series.values():
                    each.flush()
                flush = time.monotonic() + FLUSH


async def main(address, count, directory):
    symbols = [f"S{index:04}USDT" for index in range(count)]
    await asyncio.gather(*(carry(address, symbols[first : first + 500], directory) for first in range(0, count, 500)))


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main(sys.argv[2], int(sys.argv[3]), sys.argv[4]))
