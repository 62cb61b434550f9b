"""Usage: candles.py ADDRESS START END: CSV into pandas, and candles of a minute."""

import sys

import pandas as pd

base, start, end = sys.argv[1:]
url = f"{base}/api/data?symbol=BTC-USD&type=TRADES&start={start}&end={end}&columns=time,nanos,price_f64,size_f64,side&format=csv"
trades = pd.read_csv(url)
trades.index = pd.to_datetime(trades["time"].astype("int64") * 1_000_000_000 + trades["nanos"], utc=True)
candles = trades["price_f64"].resample("1min").ohlc()
candles["volume"] = trades["size_f64"].resample("1min").sum()
assert len(candles) > 1 and (candles["high"].dropna() >= candles["low"].dropna()).all()
print(candles.tail())
