# Shared by the scripts beside it. Source it; it has no effects but these definitions, $ROOT and the traps below.
# shellcheck shell=bash disable=SC2034 # what looks unused is used by those scripts

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Everything here talks to this host: a proxy for the outside must not get in between.
export no_proxy="${no_proxy:+$no_proxy,}localhost,127.0.0.1,::1"
export NO_PROXY=$no_proxy

if [[ -t 2 && -z ${NO_COLOR:-} ]]; then
  BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'
else
  BOLD='' RED='' GREEN='' PLAIN=''
fi

EXIT_USAGE=64 # EX_USAGE of sysexits.h, as our programs use it
LOG_TAIL_LINES=30
STOP_SECONDS=${STOP_SECONDS:-15} # how long a service may take to flush and exit before it is killed

say() { printf '%s\n' "${BOLD}$*${PLAIN}" >&2; }
fail() { printf '%s\n' "${RED}error:${PLAIN} $*" >&2; }
die() {
  fail "$@"
  exit 1
}
usage_error() {
  fail "$1 (--help shows what there is)"
  exit "$EXIT_USAGE"
}
# usage FILE: prints the comment at the top of a script.
usage() { sed -n '2,/^[^#]/{/^#/!q; s/^# \{0,1\}//; p}' "$1"; }

show_tail() { # LOGFILE
  [[ -s $1 ]] || { printf '  (%s is empty)\n' "$1" >&2; return; }
  printf '  last lines of %s:\n' "$1" >&2
  tail -n "$LOG_TAIL_LINES" "$1" | sed 's/^/  | /' >&2
}

# --- Steps ----------------------------------------------------------------------------------------------------------

STEP_NAMES=() STEP_SECONDS=() STEP_DIR=''

# step NAME COMMAND...: runs it with its output shown and kept; a failure names the step, repeats the tail and exits.
step() {
  local name=$1 log started=$SECONDS rc=0
  shift
  [[ $STEP_DIR ]] || new_temp_dir STEP_DIR
  log=$STEP_DIR/step.log
  say "== $name"
  # In the background and, by `set -m`, in a process group of its own: a signal ends it at once, with its children. In a
  # subshell that no `if` or `||` surrounds: there `set -e` also holds inside of functions.
  set -m
  (
    set +e
    (set -e; "$@") 2>&1 | tee "$log"
    exit "${PIPESTATUS[0]}"
  ) </dev/null &
  set +m
  remember_service "step \"$name\"" $! "$log"
  wait $! || rc=$?
  forget_last_service
  if ((rc != 0)); then
    fail "step \"$name\" failed with exit code $rc: $*"
    show_tail "$log"
    exit 1
  fi
  STEP_NAMES+=("$name") STEP_SECONDS+=($((SECONDS - started)))
}

step_summary() {
  local i
  for i in "${!STEP_NAMES[@]}"; do
    printf '%6d s  %s\n' "${STEP_SECONDS[i]}" "${STEP_NAMES[i]}" >&2
  done
}

# --- Tools ----------------------------------------------------------------------------------------------------------

# Daemons that Debian starts when their package is installed. Prometheus would take the logger's port 9090.
DAEMON_PACKAGES=' prometheus prometheus-alertmanager '
POLICY=/usr/sbin/policy-rc.d

# need_tools TOOL:PACKAGE...: installs what is not on the PATH from the distribution.
need_tools() {
  local pair packages=() daemons=() package missing=''
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null && continue
    package=${pair#*:}
    missing+=" ${pair%%:*}"
    [[ " ${packages[*]} " == *" $package "* ]] && continue
    packages+=("$package")
    [[ $DAEMON_PACKAGES == *" $package "* ]] && daemons+=("$package")
  done
  ((${#packages[@]})) || return 0

  local install="apt-get update && apt-get install -y --no-install-recommends ${packages[*]}"
  command -v apt-get >/dev/null || die "not found:$missing. There is no apt-get here; install them and try again."
  if ((EUID != 0)); then
    # The daemons are stopped and kept from starting at boot; only their programs are wanted.
    ((${#daemons[@]})) && install+=" && { systemctl disable --now ${daemons[*]} || true; }"
    fail "not found:$missing. Run this, then try again:"
    printf "  sudo sh -c '%s'\n" "$install" >&2
    exit 1
  fi
  say "not found:$missing. Installing from the distribution: $install"
  apt_install "${packages[@]}"
  if ((${#daemons[@]})) && [[ -d /run/systemd/system ]]; then
    say "keeping the system's own ${daemons[*]} from starting: systemctl disable --now ${daemons[*]}"
    systemctl disable --now "${daemons[@]}"
  fi
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || die "${pair%%:*} is still missing although ${pair#*:} was installed"
  done
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  if [[ ! -e $POLICY ]]; then
    # Tells packages not to start their daemons; removed right after, also when this is interrupted.
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod +x "$POLICY"
    OWN_POLICY=1
  fi
  apt-get update -q >&2 || die "apt-get update failed"
  apt-get install -y -q --no-install-recommends "$@" >&2 || die "apt-get could not install $*"
  remove_policy
}

OWN_POLICY=''
remove_policy() {
  [[ -z $OWN_POLICY ]] || rm -f "$POLICY"
  OWN_POLICY=''
}

# --- Services -------------------------------------------------------------------------------------------------------

SERVICE_NAMES=() SERVICE_PIDS=() SERVICE_LOGS=()

# start_service NAME LOGFILE COMMAND...: in the background, in a process group of its own, so that its children end with
# it and Ctrl-C reaches only this script, which stops all in order. If this script is killed, the kernel ends the service.
start_service() {
  local name=$1 log=$2 death=()
  shift 2
  if command -v setpriv >/dev/null; then death=(setpriv --pdeathsig TERM); fi
  # NO_COLOR: escape codes have no place in a log that is shown as a tail.
  NO_COLOR=1 setsid "${death[@]}" "$@" >"$log" 2>&1 </dev/null &
  remember_service "$name" $! "$log"
}

remember_service() { SERVICE_NAMES+=("$1") SERVICE_PIDS+=("$2") SERVICE_LOGS+=("$3"); }
forget_last_service() { unset 'SERVICE_NAMES[-1]' 'SERVICE_PIDS[-1]' 'SERVICE_LOGS[-1]'; }

# check_services: exits, naming it, if a service has ended by itself.
check_services() {
  local i rc=0
  for i in "${!SERVICE_PIDS[@]}"; do
    kill -0 "${SERVICE_PIDS[i]}" 2>/dev/null && continue
    wait "${SERVICE_PIDS[i]}" || rc=$?
    fail "${SERVICE_NAMES[i]} ended by itself with exit code $rc"
    show_tail "${SERVICE_LOGS[i]}"
    exit 1
  done
}

# wait_until NAME SECONDS LOGFILE COMMAND...: polls the command; gives up at the deadline or when a service ends.
wait_until() {
  local name=$1 seconds=$2 log=$3 deadline=$((SECONDS + $2))
  shift 3
  until "$@" >/dev/null 2>&1; do
    check_services
    if ((SECONDS >= deadline)); then
      fail "$name: not within $seconds s"
      show_tail "$log"
      exit 1
    fi
    sleep 0.2
  done
}

wait_for_url() { # NAME SECONDS LOGFILE URL
  wait_until "$1 ($4)" "$2" "$3" curl -qfsS --max-time 5 -o /dev/null "$4"
}

need_port_number() { # PORT VARIABLE
  if ! [[ $1 =~ ^[1-9][0-9]{0,4}$ ]] || (($1 > 65535)); then usage_error "$2=$1 is not a port number"; fi
}

# need_free_port PORT VARIABLE WHAT: VARIABLE is how to choose another port.
need_free_port() {
  need_port_number "$1" "$2"
  if (exec 3<>"/dev/tcp/localhost/$1") 2>/dev/null; then
    fail "port $1, needed for $3, is already in use. End what uses it, or choose another: $2=PORT"
    if command -v ss >/dev/null; then ss -Hltnp "sport = :$1" | sed 's/^/  /' >&2; fi
    exit 1
  fi
}

group_alive() { kill -0 -- "-$1" 2>/dev/null || kill -0 "$1" 2>/dev/null; }
signal_group() { kill "-$1" -- "-$2" 2>/dev/null || kill "-$1" "$2" 2>/dev/null || true; }

stop_services() { # last started first: whoever reads stops before whom it reads from
  local i pid tries
  for ((i = ${#SERVICE_PIDS[@]} - 1; i >= 0; i--)); do
    pid=${SERVICE_PIDS[i]}
    signal_group TERM "$pid"
    for ((tries = STOP_SECONDS * 10; tries > 0; tries--)); do
      group_alive "$pid" || break
      sleep 0.1
    done
    if group_alive "$pid"; then
      fail "${SERVICE_NAMES[i]} did not stop within $STOP_SECONDS s and is killed"
      signal_group KILL "$pid"
    fi
    wait "$pid" 2>/dev/null || true
  done
  SERVICE_NAMES=() SERVICE_PIDS=() SERVICE_LOGS=()
}

TEMP_DIRS=() # removed at exit
new_temp_dir() { # VARIABLE that receives its path
  printf -v "$1" '%s' "$(mktemp -d "${TMPDIR:-/tmp}/gpu-charts.XXXXXX")"
  TEMP_DIRS+=("${!1}")
}

clean_up() {
  # A second Ctrl-C must not leave half of them running.
  trap '' INT TERM HUP
  stop_services
  remove_policy
  ((${#TEMP_DIRS[@]} == 0)) || rm -rf -- "${TEMP_DIRS[@]}"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
