#!/usr/bin/env bash
# Usage: scripts/test-examples.sh
#
# Runs every program in examples/ against a server on made-up data. What cannot be run here is named, and is no failure.

# shellcheck source=scripts/sample-server.sh
. "$(dirname "${BASH_SOURCE[0]}")/sample-server.sh"

need_tools curl:curl jq:jq
start_sample_server 0 "$SAMPLE_END"
cd "$ROOT/examples"
range=("$SAMPLE_START" "$SAMPLE_END")

say "== curl"
./curl.sh "$SAMPLE_URL" "${range[@]}"

if python_tools numpy==2.4.6 pandas==3.1.1 pyarrow==26.0.1 polars==2.1.0 duckdb==2.0.0; then
  for example in python/*.py; do
    say "== $example"
    timeout 120 "$PYTHON" "$example" "$SAMPLE_URL" "${range[@]}"
  done
else
  say "no Python with numpy, pandas, pyarrow, polars and DuckDB here: python/ is skipped"
fi

if command -v node >/dev/null; then
  say "== javascript/columns.mjs"
  timeout 60 node javascript/columns.mjs "$SAMPLE_URL" "${range[@]}"
  websocket=()
  if ! node -e 'process.exit(globalThis.WebSocket ? 0 : 1)'; then websocket=(--experimental-websocket); fi
  if node "${websocket[@]}" -e 'process.exit(globalThis.WebSocket ? 0 : 1)' 2>/dev/null; then
    say "== javascript/follow.mjs"
    timeout 60 node "${websocket[@]}" javascript/follow.mjs "$SAMPLE_URL" "$SAMPLE_START" 2000
  else
    say "this Node has no WebSocket: javascript/follow.mjs is skipped"
  fi
else
  say "no Node here: javascript/ is skipped"
fi
check_services
say "== all examples ran"
