#!/usr/bin/env bash
# Usage: scripts/bench-server.sh [--write] [--rounds N] [--seconds S] [WORK...]
#
# Measures the data server beside nginx, which serves the very same bodies as files, and prints a table with ratios: our
# figure over nginx's, of runs side by side. Makes its own data (100 MB in /tmp, or $BENCH_DIRECTORY). Absolute figures
# depend on the machine; nothing else should run meanwhile. Takes about 3 minutes after a release build.
#
# Works: tiny, mid, large, beside, growing, cold, memory, tls. Default: all.
# --write also puts the table into docs/performance.md.

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

write='' arguments=()
while (($#)); do
  case $1 in
    -h | --help) usage "${BASH_SOURCE[0]}"; exit 0 ;;
    --write) write=1 ;;
    --rounds | --seconds)
      (($# > 1)) || usage_error "$1 needs a number"
      arguments+=("$1" "$2")
      shift
      ;;
    tiny | mid | large | beside | growing | cold | memory | tls) arguments+=("$1") ;;
    *) usage_error "unknown work $1" ;;
  esac
  shift
done

cd "$ROOT"
need_tools nginx:nginx-light h2load:nghttp2-client openssl:openssl
# Built in the directory that everything shares, with the release profile.
result=$(cargo bench --locked -q -p ultra_low_latency_server_chunked_parallel --bench server -- "${arguments[@]}")
printf '%s\n' "$result"
if [[ $write ]]; then
  # The page is shared: everything from this heading on is this script's.
  others=$(sed '/^## Data server$/,$d' docs/performance.md)
  {
    printf '%s\n\n## Data server\n\n' "$others"
    printf 'Made by scripts/bench-server.sh --write on %s, %s cores, Linux %s, %s.\n' \
      "$(date -u +%F)" "$(nproc)" "$(uname -r)" "$(nginx -v 2>&1 | sed 's/.*: //')"
    printf 'Medians of interleaved runs, with the lowest and the highest; only the ratios carry over to other machines.\n\n'
    printf '%s\n' "$result"
  } >docs/performance.md.new
  mv docs/performance.md.new docs/performance.md
fi
