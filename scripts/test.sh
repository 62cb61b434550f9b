#!/usr/bin/env bash
# Usage: scripts/test.sh [--fast] [--long]
#
# Everything that has to hold before a change is taken: configuration files, scripts, format, lints, licences and
# sources of dependencies, build, tests. Installs the tools this needs from the distribution. The first failed step ends
# it, named and with the tail of its output.
#
#   --fast  without clippy and cargo-deny, for the loop of edit and test
#   --long  the two endurance tests in their long form and nothing else: a day of five venues with 40 symbols each in a
#           minute, and 200 kills; prints the lines for the table in docs/long-runs.md. SEED repeats a run

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

fast='' long=''
while (($#)); do
  case $1 in
    -h | --help) usage "${BASH_SOURCE[0]}"; exit 0 ;;
    --fast) fast=1 ;;
    --long) long=1 ;;
    *) usage_error "unknown argument $1" ;;
  esac
  shift
done

# 0.20 reads the lock file's version 4 and edition 2024.
CARGO_DENY_VERSION=0.20.2
COMPOSE_FILE=docker-compose.monitoring-pull.yml

cd "$ROOT"

# Lines of a table: what ran, with what, and what came of it.
long_run() {
  local lines=$STEP_DIR/long-runs
  : >"$lines"
  # One after the other: both want the whole machine.
  LONG_RUN=$lines cargo test --locked --workspace --test day -- --nocapture
  LONG_RUN=$lines cargo test --locked --workspace --test crashes -- --nocapture
  sed "s/^/| $(date -u +%F) /" "$lines"
}

if [[ $long ]]; then
  step "build" cargo build --locked --workspace --all-targets
  step "long run" long_run
  step_summary
  exit 0
fi

need_tools prometheus:prometheus promtool:prometheus prometheus-alertmanager:prometheus-alertmanager \
  amtool:prometheus-alertmanager shellcheck:shellcheck jq:jq curl:curl docker-compose:docker-compose
command -v cargo >/dev/null || die "cargo is needed: install Rust, see README.md"

check_scripts() { shellcheck -x scripts/*.sh examples/*.sh .ci/run; }

check_prometheus() {
  promtool check config prometheus/prometheus.yml
  promtool test rules prometheus/rules/tests/*.yml
  scripts/native-prometheus-config.sh "$STEP_DIR/native.yml"
}

check_alertmanager() {
  amtool check-config prometheus/alertmanager.yml
  # Critical pages; all else, also what carries no severity at all, reaches somebody.
  local route=(amtool config routes test --config.file=prometheus/alertmanager.yml)
  "${route[@]}" --verify.receivers=critical alertname=ExchangeDisconnected severity=critical
  "${route[@]}" --verify.receivers=default alertname=DataStale severity=warning
  "${route[@]}" --verify.receivers=default alertname=Anything
}

check_dashboards() {
  local file
  for file in grafana/dashboards/*.json; do
    # Each panel that shows something has a query, a unit and a description; ids are unique; no data source is wired in.
    jq -e '
      [.. | objects | select(.targets? and .type? != "row")] as $panels
      | ($panels | length > 0)
        and (.uid | type == "string") and (.title | length > 0) and .id == null
        and ($panels | all(.title != "" and .description != "" and .fieldConfig.defaults.unit != null))
        and ($panels | all(.targets | length > 0 and all(.expr != "" and .datasource.uid == "${datasource}")))
        and ([.panels[], (.panels[].panels? // [])[]] | map(.id) | length == (unique | length))
    ' "$file" >/dev/null || { echo "$file: a panel lacks query, unit, description or unique id" >&2; return 1; }
  done
}

check_compose() { docker-compose -f "$COMPOSE_FILE" config -q; }

check_dependencies() {
  if ! cargo deny --version >/dev/null 2>&1; then
    echo "cargo-deny is missing: cargo install cargo-deny --version $CARGO_DENY_VERSION --locked (about 4 minutes)"
    cargo install cargo-deny --version "$CARGO_DENY_VERSION" --locked
  fi
  # Not `advisories`: that needs the advisory database from the network; run it where that can be fetched.
  cargo deny --locked check bans licenses sources
}

# Tests that a Prometheus 3 scrapes us run where one can be had, and say so where not.
get_prometheus_3() { scripts/prometheus-3.sh || say "no Prometheus 3 here: tests with it are skipped"; }

step "scripts" check_scripts
step "Prometheus 3" get_prometheus_3
step "Prometheus" check_prometheus
step "Alertmanager" check_alertmanager
step "dashboards" check_dashboards
step "compose" check_compose
step "format" cargo fmt --all --check
if [[ ! $fast ]]; then
  step "lints" cargo clippy --locked --workspace --all-targets -- -D warnings
  step "dependencies" check_dependencies
fi
step "build" cargo build --locked --workspace --all-targets
step "tests" cargo test --locked --workspace
# Each says what it leaves out where a program of its own (Python, Node, Chromium) is not there.
step "OpenAPI document" scripts/check-openapi.sh
step "examples" scripts/test-examples.sh
step "page" scripts/chart-picture.sh "$STEP_DIR/chart.png"

say "== all passed"
step_summary
