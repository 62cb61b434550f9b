#!/usr/bin/env bash
# Usage: scripts/chart-picture.sh [FILE]
#
# Opens the server's page in headless Chromium, on made-up data that keeps coming, and saves what it shows
# (default: docs/images/chart.png). Fails if the page does not get to "live".

# shellcheck source=scripts/sample-server.sh
. "$(dirname "${BASH_SOURCE[0]}")/sample-server.sh"

file=$(realpath -m "${1:-$ROOT/docs/images/chart.png}")
for tool in chromium node; do
  command -v "$tool" >/dev/null || { say "no $tool here: no picture"; exit 0; }
done
start_sample_server 0 "$EPOCHSECONDS" --live
"$ROOT/scripts/browse.mjs" "$SAMPLE_URL/?range=1h" "$file" live points BTC-USD ' s ago'
say "== $file"
