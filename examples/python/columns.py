"""Usage: columns.py ADDRESS START END: the plain form as numpy arrays."""

import json
import sys
import urllib.parse
import urllib.request

import numpy as np

# The types of the columns asked for; all of them are in docs/format.md.
TYPES = {"time": "<u4", "nanos": "<u4", "best_bid_f64": "<f8", "best_ask_f64": "<f8", "receive_ns": "<u8"}


def columns(base, **parameters):
    url = f"{base}/api/data?{urllib.parse.urlencode(parameters | {'columns': ','.join(TYPES)})}"
    with urllib.request.urlopen(url) as answer:
        missing = answer.headers.get("X-Missing")
        header = json.loads(answer.readline())
        data = answer.read()
    if missing:
        print("missing:", missing)
    found, at = {}, 0
    for column in header["columns"]:
        # A view of the answer, not a copy.
        found[column["name"]] = np.frombuffer(data, TYPES[column["name"]], column["num_records"], at)
        at += column["data_length"]
    return found


base, start, end = sys.argv[1:]
quotes = columns(base, exchange="coinbase", symbol="BTC-USD", type="MD", start=start, end=end)
when = quotes["time"].astype("datetime64[s]") + quotes["nanos"].astype("timedelta64[ns]")
spread = quotes["best_ask_f64"] - quotes["best_bid_f64"]
assert len(when) > 0 and (np.diff(when) >= np.timedelta64(0)).all()
print(f"{len(when)} quotes from {when[0]} to {when[-1]}, spread {spread.mean():.2f} on average")
