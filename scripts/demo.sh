#!/usr/bin/env bash
# Usage: scripts/demo.sh [--once] [--keep | --dir DIR]
#
# Builds everything and starts it on this host: the exchange simulator, the logger that records it, the server that
# serves the recording, and Prometheus that scrapes both. Fetches some of the data, checks the metrics with
# scripts/test-pull-metrics.sh and says where to look. Runs until Ctrl-C; everything it started ends with it.
#
#   --once     check, then stop
#   --keep     keep the directory with the recording, the logs and Prometheus' data
#   --dir DIR  use this directory and keep it; a recording that is there is continued
#
# Environment: LOGGER_METRICS_PORT (9090), SERVER_METRICS_PORT (9091), PROMETHEUS_PORT (9092), SERVER_PORT (8443),
#   RUST_LOG (info).

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

once='' keep='' dir=''
while (($#)); do
  case $1 in
    -h | --help) usage "${BASH_SOURCE[0]}"; exit 0 ;;
    --once) once=1 ;;
    --keep) keep=1 ;;
    --dir) dir=${2:-}; [[ $dir ]] || usage_error "--dir needs a directory"; shift ;;
    *) usage_error "unknown argument $1" ;;
  esac
  shift
done

# Exported: native-prometheus-config.sh reads them, too.
export LOGGER_METRICS_PORT=${LOGGER_METRICS_PORT:-9090} SERVER_METRICS_PORT=${SERVER_METRICS_PORT:-9091}
export PROMETHEUS_PORT=${PROMETHEUS_PORT:-9092} SERVER_PORT=${SERVER_PORT:-8443} RUST_LOG=${RUST_LOG:-info}
START_SECONDS=30 # from a start to ready; on a busy two-core machine this takes a few
SERVER=ultra_low_latency_server_chunked_parallel

cd "$ROOT"
need_tools curl:curl jq:jq prometheus:prometheus promtool:prometheus
command -v cargo >/dev/null || die "cargo is needed: install Rust, see README.md"
need_free_port "$LOGGER_METRICS_PORT" LOGGER_METRICS_PORT "the logger's metrics"
need_free_port "$SERVER_METRICS_PORT" SERVER_METRICS_PORT "the server's metrics"
need_free_port "$PROMETHEUS_PORT" PROMETHEUS_PORT "Prometheus"
need_free_port "$SERVER_PORT" SERVER_PORT "the server's data"

# The whole workspace, as the tests build it: other sets of packages would be built with other features, all anew.
step "build" cargo build --locked --workspace --bins
bin=${CARGO_TARGET_DIR:-$ROOT/target}/debug

if [[ $dir ]]; then
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
elif [[ $keep ]]; then
  dir=$(mktemp -d "${TMPDIR:-/tmp}/gpu-charts-demo.XXXXXX")
else
  new_temp_dir dir
fi
mkdir -p "$dir/data" "$dir/log" "$dir/prometheus"
say "== recording, logs and Prometheus' data are in $dir"

say "== start"
rm -f "$dir/logger.yaml"
start_service "exchange simulator" "$dir/log/simulator.log" \
  "$bin/exchange_simulator" run --exchanges coinbase,binance,kraken,okx,bitfinex --rate 100 --symbols 8 --seed 1 \
  --ledger "$dir/ledger.jsonl" --logger-config "$dir/logger.yaml"
# Written once it listens.
wait_until "the simulator's logger config" "$START_SECONDS" "$dir/log/simulator.log" test -s "$dir/logger.yaml"

METRICS_PORT=$LOGGER_METRICS_PORT start_service "logger" "$dir/log/logger.log" \
  "$bin/logger" run --config "$dir/logger.yaml" --data-path "$dir/data"
DATA_PATH=$dir/data PORT=$SERVER_PORT METRICS_PORT=$SERVER_METRICS_PORT USE_TLS=false \
  start_service "server" "$dir/log/server.log" "$bin/$SERVER"
scripts/native-prometheus-config.sh "$dir/prometheus.yml"
start_service "Prometheus" "$dir/log/prometheus.log" prometheus --config.file="$dir/prometheus.yml" \
  --storage.tsdb.path="$dir/prometheus" --web.listen-address="127.0.0.1:$PROMETHEUS_PORT" --web.enable-lifecycle

logger=http://localhost:$LOGGER_METRICS_PORT server=http://localhost:$SERVER_METRICS_PORT
prometheus=http://localhost:$PROMETHEUS_PORT data=http://localhost:$SERVER_PORT
wait_for_url "logger" "$START_SECONDS" "$dir/log/logger.log" "$logger/ready"
wait_for_url "server" "$START_SECONDS" "$dir/log/server.log" "$server/ready"
wait_for_url "Prometheus" "$START_SECONDS" "$dir/log/prometheus.log" "$prometheus/-/ready"

say "== the last minute of BTC-USD, as a chart would ask for it"
query="$data/api/data?symbol=BTC-USD&type=MD&exchange=coinbase&columns=time,nanos,price_f64"
has_rows() {
  url="$query&start=$((EPOCHSECONDS - 60))&end=$EPOCHSECONDS"
  curl -qfsS --max-time 5 -o "$dir/answer.bin" "$url" 2>"$dir/log/answer.log" || return 1
  head -n 1 "$dir/answer.bin" | tee -a "$dir/log/answer.log" | jq -e '.columns[0].num_records > 0'
}
wait_until "rows of BTC-USD from $query" "$START_SECONDS" "$dir/log/answer.log" has_rows
echo "$url"
head -n 1 "$dir/answer.bin"

say "== metrics"
if ! LOGGER_METRICS_URL=$logger SERVER_METRICS_URL=$server PROMETHEUS_URL=$prometheus scripts/test-pull-metrics.sh; then
  check_services
  fail "step \"metrics\" failed: scripts/test-pull-metrics.sh"
  for log in logger server prometheus; do show_tail "$dir/log/$log.log"; done
  exit 1
fi
check_services

say "== up and running"
cat <<URLS
  data         $data/api/symbols
               $query&start=…&end=…
  logger       $logger/metrics  /health  /ready
  server       $server/metrics  /health  /ready
  Prometheus   $prometheus/targets
               $prometheus/graph?g0.expr=sum%20by%20(exchange)%20(rate(gpu_charts_exchange_messages_total%5B10s%5D))&g0.tab=0
  alerts       $prometheus/alerts
  logs         $dir/log
URLS

if [[ $once ]]; then
  say "== all well, stopping"
else
  say "== Ctrl-C stops it"
  while :; do
    sleep 1
    check_services
  done
fi
