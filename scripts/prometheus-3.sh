#!/usr/bin/env bash
# Usage: scripts/prometheus-3.sh [DIRECTORY]
#
# Gets a Prometheus 3 from Debian's testing distribution and prints the path of its program. The one that Debian 12
# installs is a 2.42, and 3 is stricter about what a scrape answers; tests use both. Nothing is installed: the package
# is fetched by apt, which checks its signature, and unpacked into DIRECTORY (default target/prometheus-3). A second
# run finds it there.

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

directory=$ROOT/target/prometheus-3
while (($#)); do
  case $1 in
    -h | --help) usage "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) usage_error "unknown argument $1" ;;
    *) directory=$1 ;;
  esac
  shift
done

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
apt=''
program=$directory/usr/bin/prometheus

major() { "$program" --version 2>&1 | sed -n 's/^prometheus, version \([0-9]*\)\..*/\1/p'; }

if [[ ! -x $program ]]; then
  command -v apt-get >/dev/null || die "there is no apt-get here; put a Prometheus 3 at $program"
  [[ -r $KEYRING ]] || die "$KEYRING is missing: install debian-archive-keyring"
  new_temp_dir apt
  # An apt of its own beside the system's: other sources, other lists, no root needed.
  mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,etc}
  cat >"$apt/etc/sources.list" <<SOURCES
deb [signed-by=$KEYRING] http://deb.debian.org/debian forky main
SOURCES
  options=(-q -o "Dir::State=$apt/state" -o "Dir::Cache=$apt/cache" -o "Dir::Etc::SourceList=$apt/etc/sources.list"
    -o "Dir::Etc::SourceParts=-" -o "APT::Architecture=$(dpkg --print-architecture)" -o "APT::Sandbox::User=" -o "Acquire::Languages=none")
  apt-get "${options[@]}" update >&2 || die "the list of packages could not be fetched"
  (cd "$apt" && apt-get "${options[@]}" download prometheus promtool >&2) || die "prometheus could not be fetched"
  mkdir -p "$directory"
  for package in "$apt"/*.deb; do dpkg-deb --extract "$package" "$directory"; done
fi
found=$(major)
[[ $found == 3 ]] || die "$program is a Prometheus ${found:-of unknown version}, not 3"
printf '%s\n' "$program"
