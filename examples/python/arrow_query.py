"""Usage: arrow_query.py ADDRESS START END: the same Arrow stream in polars, and in SQL by DuckDB."""

import sys
import urllib.request

import duckdb
import polars as pl
import pyarrow as pa

base, start, end = sys.argv[1:]
url = f"{base}/api/data?symbol=BTC-USD&type=TRADES&start={start}&end={end}&columns=time,price_f64,size_f64&format=arrow"

with urllib.request.urlopen(url) as answer:
    frame = pl.read_ipc_stream(answer.read())
minutes = frame.group_by(pl.col("time") // 60).agg(pl.col("size_f64").sum().alias("volume")).sort("time")
print(minutes.tail(3))

# DuckDB queries the table where it is, by its Python name.
with urllib.request.urlopen(url) as answer:
    trades = pa.ipc.open_stream(answer).read_all()
rows, volume = duckdb.sql("SELECT count(*), sum(size_f64) FROM trades WHERE price_f64 > 0").fetchall()[0]
print(f"{rows} trades of {volume:.4f} in all")
assert rows == frame.height > 0
assert abs(volume - minutes["volume"].sum()) < 1e-6 * volume
