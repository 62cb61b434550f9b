#!/usr/bin/env bash
# Usage: scripts/bench-metrics-server.sh [BENCHMARK...]
#
# Measures metrics_server beside prometheus-client, prometheus, metrics-exporter-prometheus and exporter-toolkit in one
# run, and prints a table with ratios: how many times our figure theirs is. Absolute times depend on the machine. Takes
# about 3 minutes after a release build; nothing else should run meanwhile.
#
# Benchmarks: increment, contended, encode, stall, scrape, flood. Default: all.

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

benchmarks=()
while (($#)); do
  case $1 in
    -h | --help) usage "${BASH_SOURCE[0]}"; exit 0 ;;
    increment | contended | encode | stall | scrape | flood) benchmarks+=("$1") ;;
    *) usage_error "unknown benchmark $1" ;;
  esac
  shift
done

cd "$ROOT"
need_tools prometheus:prometheus taskset:util-linux
# Built in the directory that everything shares, with the release profile.
exec cargo bench --locked -q -p metrics_server --bench peers -- "${benchmarks[@]}"
