# A private PostgreSQL cluster in DIR/postgres, over TCP on 127.0.0.1 alone.
# Needs common.sh. The server refuses root: there it runs as another user.
# shellcheck shell=bash

PG_BIN=$(postgres_bin || true)

# pg_as COMMAND...: as the user that the cluster belongs to.
pg_as() {
  if [ "$EUID" -ne 0 ]; then
    "$@"
  elif id postgres >/dev/null 2>&1; then
    runuser -u postgres -- "$@"
  else
    runuser -u nobody -- "$@"
  fi
}

# pg_create DIR PORT
pg_create() {
  local dir=$1/postgres
  [ -n "$PG_BIN" ] || die "no PostgreSQL server from 15 on: run scripts/install-deps"
  mkdir "$dir"
  [ "$EUID" -ne 0 ] || chown "$(pg_as id -u):$(pg_as id -g)" "$dir"
  pg_as test -w "$dir" || die "the database's user cannot reach $dir: choose a directory below /tmp"
  pg_as "$PG_BIN/initdb" --pgdata="$dir/data" --username=muster --auth=trust \
    --encoding=UTF8 --no-locale --no-sync >"$1/initdb.log" 2>&1 ||
    { cat "$1/initdb.log" >&2; return 1; }
  pg_as tee -a "$dir/data/postgresql.conf" >/dev/null <<EOF

listen_addresses = '127.0.0.1'
port = $2
unix_socket_directories = ''
max_connections = 100
shared_buffers = 128MB
max_wal_size = 2GB
EOF
}

pg_pid() { head -n 1 "$1/postgres/data/postmaster.pid" 2>/dev/null || true; }
pg_is_running() { is_ours "$(pg_pid "$1")" "$1/postgres/data"; }

# pg_start DIR: returns when the server accepts connections. One that was killed writes back and syncs
# every file of every database first: half a minute and more, after many tests.
pg_start() {
  local dir=$1/postgres
  ! pg_is_running "$1" || return 0
  pg_as "$PG_BIN/pg_ctl" start -D "$dir/data" -l "$dir/log" -w -t 300 >/dev/null 2>&1 </dev/null || {
    warn "PostgreSQL did not start; the end of $dir/log:"
    tail -n 20 "$dir/log" >&2
    return 1
  }
}

# pg_create_database PORT
pg_create_database() {
  "$PG_BIN/psql" -qX "host=127.0.0.1 port=$1 user=muster dbname=postgres" -c 'create database muster'
}

# pg_stop DIR: sessions are cut off, committed work is kept.
pg_stop() {
  pg_is_running "$1" || return 0
  pg_as "$PG_BIN/pg_ctl" stop -D "$1/postgres/data" -m fast -w -t 20 >/dev/null 2>&1 </dev/null || pg_kill "$1"
}

# pg_kill DIR: as a power cut would, the server's own children with it.
pg_kill() {
  local pid children child mark=$1/postgres/data
  pid=$(pg_pid "$1")
  is_ours "$pid" "$mark" || return 0
  children=$(pgrep -P "$pid" || true)
  kill -KILL "$pid"
  for child in $children; do kill -KILL "$child" 2>/dev/null || true; done
  for child in $pid $children; do until_deadline 10 is_dead "$child"; done
  # The next server takes a dead one that nobody has waited for as running.
  until_deadline 5 is_reaped "$pid" || rm -f "$mark/postmaster.pid"
}

is_reaped() { ! kill -0 "$1" 2>/dev/null; }

# A process that ended but was not waited for has no command line either.
is_dead() { [ -z "$(tr -d '\0' 2>/dev/null <"/proc/$1/cmdline")" ]; } 2>/dev/null
