#!/usr/bin/env bash
# Usage: scripts/chart-picture.sh [FILE]
#
# Opens the server's page in headless Chromium, on made-up data that keeps coming, and saves what it shows
# (default: docs/images/chart.png). Fails if the page does not get to "live".

# shellcheck source=scripts/sample-server.sh
. "$(dirname "${BASH_SOURCE[0]}")/sample-server.sh"

file=$(realpath -m "${1:-$ROOT/docs/images/chart.png}")
command -v chromium >/dev/null || { say "no chromium here: no picture"; exit 0; }
start_sample_server 0 "$EPOCHSECONDS" --live

browse() { # what is printed goes to a file: chromium complains about the bus that containers lack
  timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --user-data-dir="$SAMPLE_DIR/profile" \
    --window-size=1280,760 --virtual-time-budget=8000 "$@" "$SAMPLE_URL/?range=1h" 2>"$SAMPLE_DIR/chromium.log"
}

browse --dump-dom >"$SAMPLE_DIR/page.html" || { show_tail "$SAMPLE_DIR/chromium.log"; exit 1; }
for sign in '<b>live</b>' 'points</span>' 'BTC-USD' 's ago'; do
  grep -q "$sign" "$SAMPLE_DIR/page.html" || die "the page does not show $sign; it is in $SAMPLE_DIR/page.html"
done
browse --screenshot="$file" >/dev/null || { show_tail "$SAMPLE_DIR/chromium.log"; exit 1; }
[[ -s $file ]] || die "chromium made no picture"
say "== $file"
