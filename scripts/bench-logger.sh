#!/usr/bin/env bash
# Usage: scripts/bench-logger.sh [PART...]
#
# Measures the logger in one run and prints a table with targets and ratios: how long it takes to understand a frame, how
# many messages a second it records on one core without losing any, beside plain recorders in Rust and Python, and what
# quiet symbols cost. Absolute figures depend on the machine. Takes about 5 minutes after a release build; nothing else
# should run meanwhile. On ext4 wait six minutes before another run: it is slow to make files where many were just removed.
#
# Parts: decode, binance, kraken, peers, idle. Default: all.
# BENCH_SECONDS: how long each load lasts (15). BENCH_DATA: a directory in which the data is kept. BENCH_LOGGER: another
# build of the logger.

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

parts=()
while (($#)); do
  case $1 in
    -h | --help) usage "${BASH_SOURCE[0]}"; exit 0 ;;
    decode | binance | kraken | peers | idle) parts+=("$1") ;;
    *) usage_error "unknown part $1" ;;
  esac
  shift
done
((${#parts[@]})) || parts=(decode binance kraken peers idle)

# wants PART...: whether any of them is to be measured.
wants() {
  local part wanted
  for part in "${parts[@]}"; do
    for wanted in "$@"; do [[ $part == "$wanted" ]] && return; done
  done
  return 1
}

cd "$ROOT"
need_tools taskset:util-linux
if wants peers && [[ -z ${BENCH_PYTHON:-} ]]; then
  # Beside the build, not in the system. Without it the table says that this peer is not installed.
  environment=${CARGO_TARGET_DIR:-target}/bench-python
  if python3 -m venv "$environment" && "$environment/bin/pip" install -q websockets==15.0.1; then
    export BENCH_PYTHON=$environment/bin/python3
  fi
fi
if wants decode; then
  frames=''
  new_temp_dir frames
  cargo bench --locked -q -p logger --bench load -- frames "$frames"
  SIMULATED=$frames cargo bench --locked -q -p exchange_protocol --bench decode
fi
if wants binance kraken peers idle; then
  BENCH_PYTHON=${BENCH_PYTHON:+$(realpath -s "$BENCH_PYTHON")} cargo bench --locked -q -p logger --bench load -- "${parts[@]}"
fi
