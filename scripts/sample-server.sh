#!/usr/bin/env bash
# Usage: scripts/sample-server.sh [--live]
#
# A server on made-up data, on port 8443 (or $SERVER_PORT), until Ctrl-C: something to look at, and to try clients with.
# Other scripts source it for `start_sample_server`.
#
#   --live  rows keep coming
# shellcheck disable=SC2034 # what looks unused is used by those scripts

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SAMPLE_END=1794960000   # 2026-11-18 00:00:00 UTC
SAMPLE_START=1794952800 # two hours before it
SAMPLE_URL='' SAMPLE_DIR=''

# start_sample_server PORT END [--live]: sets SAMPLE_URL and SAMPLE_DIR. With port 0 the system chooses one.
start_sample_server() {
  local port=$1 end=$2 live=${3:-} server=ultra_low_latency_server_chunked_parallel log bin
  bin=${CARGO_TARGET_DIR:-$ROOT/target}/debug
  # The same build as that of the tests.
  (cd "$ROOT" && cargo build --locked --workspace --bins --examples)
  new_temp_dir SAMPLE_DIR
  log=$SAMPLE_DIR/server.log
  if [[ $live ]]; then
    start_service "sample data" "$SAMPLE_DIR/data.log" "$bin/examples/sample_data" "$SAMPLE_DIR/data" "$end" 2 --live
    wait_until "sample data" 60 "$SAMPLE_DIR/data.log" test -s "$SAMPLE_DIR/data/kraken/instruments.json"
  else
    "$bin/examples/sample_data" "$SAMPLE_DIR/data" "$end" 2
  fi
  RUST_LOG=info start_service "server" "$log" "$bin/$server" --listen 127.0.0.1 --port "$port" --use-tls=false \
    --data-path "$SAMPLE_DIR/data" --metrics-listen 127.0.0.1:0
  wait_until "the server" 60 "$log" grep -q 'data port listens' "$log"
  SAMPLE_URL=http://$(sed -n 's/.*data port listens address=\([^ ]*\).*/\1/p' "$log" | head -n 1)
  wait_for_url "the server" 60 "$log" "$SAMPLE_URL/api/symbols"
}

# python_tools PACKAGE==VERSION...: a virtual environment under target/ with these; sets PYTHON. Fails if there is none.
PYTHON=''
python_tools() {
  local home=${CARGO_TARGET_DIR:-$ROOT/target}/python-tools
  command -v python3 >/dev/null || return 1
  if [[ ! -x $home/bin/pip ]]; then python3 -m venv "$home" || return 1; fi
  "$home/bin/pip" install --quiet --disable-pip-version-check "$@" || return 1
  PYTHON=$home/bin/python
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  case ${1:-} in
    -h | --help) usage "${BASH_SOURCE[0]}"; exit 0 ;;
    '') start_sample_server "${SERVER_PORT:-8443}" "$SAMPLE_END" ;;
    --live) start_sample_server "${SERVER_PORT:-8443}" "$EPOCHSECONDS" --live ;;
    *) usage_error "unknown argument $1" ;;
  esac
  say "== $SAMPLE_URL; Ctrl-C stops it"
  while :; do
    sleep 1
    check_services
  done
fi
