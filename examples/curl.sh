#!/usr/bin/env bash
# Usage: examples/curl.sh ADDRESS START END
set -euo pipefail

base=${1:?the server, such as http://localhost:8443} start=${2:?Unix seconds} end=${3:?Unix seconds}
data="$base/api/data?symbol=BTC-USD&start=$start&end=$end"

echo "What there is:"
curl -fsS "$base/api/symbols" | jq -c .exchanges

echo "The first trades:"
curl -fsS "$data&type=TRADES&columns=time,id,price_f64,size_f64,side&format=csv" | awk "NR <= 4"

echo "Five quotes, evenly spaced:"
curl -fsS -H 'Accept: application/x-ndjson' "$data&type=MD&columns=time,best_bid_f64,best_ask_f64&max_points=5"

echo "Gaps:"
curl -fsS "$base/api/gaps?symbol=BTC-USD&type=MD&start=$start&end=$end" | jq -c '.gaps[] | {reason, state, seconds: ((.to_ns - .from_ns) / 1e9)}'

echo "A mistake is told in words, with status 400:"
curl -sS -w ' (%{http_code})\n' "$data&type=MD&columns=prize"
