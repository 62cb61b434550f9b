#!/usr/bin/env bash
# Usage: scripts/test-pull-metrics.sh
#
# Checks that metrics are exposed and scraped: logger and server answer /metrics, /health and /ready with something to
# see, Prometheus is ready, scrapes them and itself, and holds the result. Checks again until all is well or TIMEOUT is
# over; then exits non-zero and names everything that failed. The counts go to stdout, all else to stderr.
#
# Environment:
#   LOGGER_METRICS_URL   http://localhost:9090
#   SERVER_METRICS_URL   http://localhost:9091
#   PROMETHEUS_URL       http://localhost:9092
#   METRICS_USER, METRICS_PASSWORD or METRICS_PASSWORD_FILE   basic authentication at logger and server
#   METRICS_CA_FILE      certificates to trust, for https
#   TIMEOUT              30, in seconds
#
# Exit codes: 0 all is well, 1 something is not, 64 bad arguments or environment.

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case ${1:-} in
  '') ;;
  -h | --help) usage "${BASH_SOURCE[0]}"; exit 0 ;;
  *) usage_error "unknown argument $1" ;;
esac

LOGGER_METRICS_URL=${LOGGER_METRICS_URL:-http://localhost:9090}
SERVER_METRICS_URL=${SERVER_METRICS_URL:-http://localhost:9091}
PROMETHEUS_URL=${PROMETHEUS_URL:-http://localhost:9092}
TIMEOUT=${TIMEOUT:-30}
EXPECTED_JOBS=(gpu-charts-logger gpu-charts-server prometheus)
REQUEST_SECONDS=5

[[ $TIMEOUT =~ ^[0-9]{1,6}$ ]] || usage_error "TIMEOUT=$TIMEOUT is not a number of seconds"
for tool in curl jq; do
  command -v "$tool" >/dev/null || die "$tool is needed (Debian: apt-get install $tool)"
done
if [[ -n ${METRICS_PASSWORD_FILE:-} ]]; then
  [[ -r $METRICS_PASSWORD_FILE ]] || usage_error "METRICS_PASSWORD_FILE=$METRICS_PASSWORD_FILE cannot be read"
  METRICS_PASSWORD=$(<"$METRICS_PASSWORD_FILE")
fi
if [[ -n ${METRICS_CA_FILE:-} && ! -r $METRICS_CA_FILE ]]; then
  usage_error "METRICS_CA_FILE=$METRICS_CA_FILE cannot be read"
fi
if [[ -n ${METRICS_PASSWORD:-} && -z ${METRICS_USER:-} ]]; then
  usage_error "METRICS_PASSWORD is set and METRICS_USER is not"
fi

quoted() { # as curl's config files want it
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}
CURL_CONFIG=''
[[ -z ${METRICS_CA_FILE:-} ]] || CURL_CONFIG+="cacert = $(quoted "$METRICS_CA_FILE")"$'\n'
SERVICE_CONFIG=$CURL_CONFIG
[[ -z ${METRICS_USER:-} ]] || SERVICE_CONFIG+="user = $(quoted "$METRICS_USER:${METRICS_PASSWORD:-}")"$'\n'

new_temp_dir WORK
FAILURES=()
failed() { FAILURES+=("$*"); }
excerpt() { head -c 300 "$1" | tr -s '[:space:]' ' '; }

# fetch WHAT CONFIG URL [CURL OPTION...]: the body into $BODY; false, and noted, unless the answer is a 2xx.
# Options that hold a password go through stdin, where no process list shows them.
BODY=$WORK/body
fetch() {
  local what=$1 config=$2 url=$3 status
  shift 3
  : >"$BODY"
  if ! status=$(curl -q -K - -sS --max-time "$REQUEST_SECONDS" -o "$BODY" -w '%{http_code}' "$@" "$url" \
    2>"$WORK/error" <<<"$config"); then
    failed "$what: no answer from $url: $(excerpt "$WORK/error")"
    return 1
  fi
  [[ $status == 2* ]] || { failed "$what: $url answered $status: $(excerpt "$BODY")"; return 1; }
}

# check_service NAME URL METRIC: sets COUNT to the number of lines that hold METRIC.
check_service() {
  local name=$1 url=${2%/} metric=$3 status
  COUNT=0
  if fetch "$name /metrics" "$SERVICE_CONFIG" "$url/metrics"; then
    COUNT=$(grep -c "$metric" "$BODY" || true)
    # Help and type lines alone are no metrics.
    grep -q "^$metric" "$BODY" || failed "$name /metrics: no sample of ${metric}* in $url/metrics"
  fi
  if fetch "$name /health" "$SERVICE_CONFIG" "$url/health"; then
    status=$(jq -r '.status' "$BODY" 2>/dev/null) || status='no JSON'
    [[ $status == ok ]] || failed "$name /health: status is $status: $(excerpt "$BODY")"
  fi
  fetch "$name /ready" "$SERVICE_CONFIG" "$url/ready" || true
}

check_prometheus() {
  local url=${PROMETHEUS_URL%/} job problem
  TARGETS=0
  fetch "Prometheus" "$CURL_CONFIG" "$url/-/ready" || return 0
  if fetch "Prometheus targets" "$CURL_CONFIG" "$url/api/v1/targets?state=active"; then
    TARGETS=$(jq '.data.activeTargets | length' "$BODY" 2>/dev/null) || { TARGETS=0; failed "Prometheus targets: no JSON"; }
    for job in "${EXPECTED_JOBS[@]}"; do
      problem=$(jq -r --arg job "$job" '
        [.data.activeTargets[] | select(.labels.job == $job)]
        | if length == 0 then "no target"
          else map(select(.health != "up") | "\(.scrapeUrl) is \(.health)" + if .lastError == "" then "" else ": \(.lastError)" end)
            | join("; ") end' "$BODY" 2>/dev/null) || problem="targets cannot be read"
      [[ -z $problem ]] || failed "Prometheus job $job: $problem"
    done
  fi
  # On the host localhost:9090 is the logger, so the job could be up and yet not be Prometheus.
  if fetch "Prometheus query" "$CURL_CONFIG" "$url/api/v1/query" -G \
    --data-urlencode 'query=prometheus_build_info{job="prometheus"}'; then
    jq -e '.data.result | length > 0' "$BODY" >/dev/null 2>&1 ||
      failed 'Prometheus job prometheus: no sample of prometheus_build_info{job="prometheus"}; does it scrape itself?'
  fi
}

deadline=$((SECONDS + TIMEOUT))
echo "Testing Pull-Based Metrics"
while :; do
  FAILURES=()
  check_service logger "$LOGGER_METRICS_URL" gpu_charts_exchange
  logger_count=$COUNT
  check_service server "$SERVER_METRICS_URL" gpu_charts_server
  server_count=$COUNT
  check_prometheus
  ((${#FAILURES[@]} > 0 && SECONDS < deadline)) || break
  sleep 0.5
done

echo "Logger metrics: $logger_count"
echo "Server metrics: $server_count"
echo "Prometheus targets: $TARGETS"
if ((${#FAILURES[@]})); then
  for failure in "${FAILURES[@]}"; do fail "$failure"; done
  exit 1
fi
echo "Done!"
