"""Usage: arrow_table.py ADDRESS START END: Arrow as it streams in, and as a table."""

import sys
import urllib.request

import pyarrow as pa
import pyarrow.compute as pc

base, start, end = sys.argv[1:]
columns = "time,nanos,id,price_f64,size_f64,side,taker_order_id"
url = f"{base}/api/data?symbol=BTC-USD&type=TRADES&start={start}&end={end}&columns={columns}&format=arrow"

# Batch by batch: memory does not grow with the range.
rows = 0
with urllib.request.urlopen(url) as answer, pa.ipc.open_stream(answer) as stream:
    for batch in stream:
        batch.validate(full=True)
        rows += batch.num_rows

# All at once. What polars and DuckDB make of it: arrow_query.py.
with urllib.request.urlopen(url) as answer:
    trades = pa.ipc.open_stream(answer).read_all()
assert trades.num_rows == rows > 0

ns = pc.add(pc.multiply(trades["time"].cast("int64"), 1_000_000_000), trades["nanos"].cast("int64"))
trades = trades.append_column("when", ns.cast(pa.timestamp("ns", "UTC")))
notional = pc.sum(pc.multiply(trades["price_f64"], trades["size_f64"])).as_py()
print(trades.schema)
print(f"{rows} trades, {notional:,.0f} USD, the last at {trades['when'][-1]}")
