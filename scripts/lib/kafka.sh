# A private broker: one node that is broker and controller, in DIR/kafka.
# Needs common.sh. Memory and flags of the JVM: MUSTER_KAFKA_JAVA_OPTIONS.
# shellcheck shell=bash

KAFKA_LIB=$ROOT/scripts/lib/kafka
KAFKA_VERSION=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$KAFKA_LIB/pom.xml")
KAFKA_JARS=$CACHE/kafka-$KAFKA_VERSION

# The jars, through Maven; a directory half filled never gets the final name.
kafka_fetch() {
  cmp -s "$KAFKA_LIB/pom.xml" "$KAFKA_JARS/pom.xml" && return
  say "fetching Kafka $KAFKA_VERSION"
  local new
  mkdir -p "$CACHE"
  new=$(mktemp -d "$CACHE/kafka.XXXXXX")
  mvn -q -B -f "$KAFKA_LIB/pom.xml" dependency:copy-dependencies -DoutputDirectory="$new" </dev/null ||
    { rm -rf "$new"; die "Maven could not fetch Kafka $KAFKA_VERSION"; }
  cp "$KAFKA_LIB/pom.xml" "$new/pom.xml"
  rm -rf "$KAFKA_JARS"
  mv "$new" "$KAFKA_JARS"
}

# kafka_java DIR ARGUMENT...: for a subshell, whose process id becomes the JVM's; in a
# session of its own, so that a Ctrl-C in the terminal is for our script alone.
kafka_java() {
  local -a options
  read -ra options <<<"${MUSTER_KAFKA_JAVA_OPTIONS:--Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1}"
  exec setsid java "${options[@]}" -Xshare:auto -XX:-UsePerfData -Djava.io.tmpdir="$1/kafka/tmp" \
    -Dlog4j2.configurationFile="$KAFKA_LIB/log4j2.properties" -cp "$KAFKA_JARS/*" "${@:2}"
}

# kafka_create DIR CLIENT_PORT CONTROLLER_PORT
# MUSTER_KAFKA_PROXIED=PORT:ADVERTISED adds a listener at PORT that sends its clients to the
# port ADVERTISED, where something of the caller's stands in between.
kafka_create() {
  local dir=$1/kafka client=127.0.0.1:$2 controller=127.0.0.1:$3 listener='' advertised='' protocol=''
  if [ -n "${MUSTER_KAFKA_PROXIED:-}" ]; then
    listener=PROXIED://127.0.0.1:${MUSTER_KAFKA_PROXIED%:*},
    advertised=PROXIED://127.0.0.1:${MUSTER_KAFKA_PROXIED#*:},
    protocol=PROXIED:PLAINTEXT,
  fi
  mkdir "$dir" "$dir/tmp"
  # The session is short because a broker that was killed cannot come back before its end.
  cat >"$dir/server.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$controller
listeners=${listener}CLIENT://$client,CONTROLLER://$controller
advertised.listeners=${advertised}CLIENT://$client
listener.security.protocol.map=${protocol}CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
log.dirs=$dir/data
auto.create.topics.enable=false
broker.heartbeat.interval.ms=1000
broker.session.timeout.ms=4000
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
EOF
  # 16 bytes in URL-safe base64; a leading - would be taken for an option.
  local id
  id=M$(head -c 15 /dev/urandom | base64 | tr '+/' '-_')g
  (kafka_java "$1" kafka.tools.StorageTool format --cluster-id "$id" --config "$dir/server.properties") >"$dir/format.log" 2>&1 || {
    warn "Kafka's directory could not be formatted:"
    cat "$dir/format.log" >&2
    return 1
  }
}

kafka_pid() { cat "$1/kafka/pid" 2>/dev/null || true; }
kafka_is_running() { is_ours "$(kafka_pid "$1")" "$1/kafka/server.properties"; }

kafka_answers() {
  local port
  port=$(sed -n 's/^advertised.listeners=.*:\([0-9]*\)$/\1/p' "$1/kafka/server.properties")
  grep -qs 'Kafka Server started' "$1/kafka/log" && (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

kafka_answers_or_ended() { kafka_answers "$1" || ! kill -0 "$2" 2>/dev/null; }

# kafka_start DIR: returns when the broker serves its clients.
kafka_start() {
  local dir=$1/kafka
  ! kafka_is_running "$1" || return 0
  [ ! -e "$dir/log" ] || cat "$dir/log" >>"$dir/log.before"
  # Written by the process itself: nothing can come between its start and its number.
  (echo "$BASHPID" >"$dir/pid" && kafka_java "$1" kafka.Kafka "$dir/server.properties") >"$dir/log" 2>&1 </dev/null &
  disown
  if until_deadline 60 kafka_answers_or_ended "$1" $! && kafka_is_running "$1"; then return; fi
  warn "Kafka did not start; the end of $dir/log:"
  tail -n 20 "$dir/log" "$dir/format.log" >&2
  return 1
}

# kafka_end DIR SIGNAL: returns when it has ended, killed if it takes over 20 s.
kafka_end() {
  local pid mark=$1/kafka/server.properties
  pid=$(kafka_pid "$1")
  is_ours "$pid" "$mark" || return 0
  kill "-$2" "$pid"
  until_deadline 20 is_gone "$pid" "$mark" || {
    kill -KILL "$pid"
    until_deadline 10 is_gone "$pid" "$mark"
  }
}
