# Sourced by every script: where things are, how they speak, how they stop.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/muster
# Debian's own, not one from a version manager: its venv module is what we install.
PYTHON=/usr/bin/python3
[ -x "$PYTHON" ] || PYTHON=python3
VENV=$CACHE/venv

say() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
  warn "$@"
  exit 1
}

# Prints the comment block at the top of the calling script.
usage() { awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"; }

usage_error() {
  warn "$@"
  usage >&2
  exit 2
}

# seconds_since START, START being an earlier value of $EPOCHREALTIME.
seconds_since() {
  awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}

# attend COMMAND...: waits for it in a way that a signal to the script interrupts, with
# a process group of its own, so that dismiss, in the script's trap, ends all of it.
CHILD=
attend() {
  local status=0
  set -m
  "$@" </dev/null &
  CHILD=$!
  set +m
  wait "$CHILD" || status=$?
  CHILD=
  return "$status"
}

dismiss() {
  [ -n "$CHILD" ] || return 0
  kill -TERM -- "-$CHILD" 2>/dev/null || true
  until_deadline 20 group_is_gone "$CHILD" || kill -KILL -- "-$CHILD"
}

group_is_gone() { ! kill -0 -- "-$1" 2>/dev/null; }

# stage NAME COMMAND...: one line a stage with its seconds; the output is kept
# in $STAGE_LOG and shown when the command fails.
STAGE_LOG=
stage() {
  local name=$1 start=$EPOCHREALTIME status=0
  shift
  printf '  %-44s ' "$name"
  attend "$@" >"$STAGE_LOG" 2>&1 || status=$?
  if [ "$status" -ne 0 ]; then
    say "FAILED (exit $status) after $(seconds_since "$start") s"
    tail -n 40 "$STAGE_LOG" | sed 's/^/    | /' >&2
    return "$status"
  fi
  say "$(seconds_since "$start") s"
}

# until_deadline SECONDS COMMAND...: tries until the command succeeds.
until_deadline() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.05
  done
}

# is_ours PID TEXT: the process is there and TEXT is in its command line, so that
# a number used again by a stranger is never signalled.
is_ours() {
  [ -n "$1" ] && [ -r "/proc/$1/cmdline" ] && tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -qF -- "$2"
}

is_gone() { ! is_ours "$@"; }

# The newest PostgreSQL server from 15 on.
postgres_bin() {
  local dir
  while read -r dir; do
    [ -x "$dir/initdb" ] && [ "$(basename "$(dirname "$dir")")" -ge 15 ] && { say "$dir"; return; }
  done < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -t/ -k5,5nr)
  return 1
}
