#!/usr/bin/env bash
# A Flink cluster on this machine, without Docker. `flink.sh help` says how to use it.
set -euo pipefail

usage() {
  cat << 'TEXT'
Usage: flink.sh COMMAND

  fetch               Gets Flink and Beam's job server into the cache (~/.cache/photobeam). start does so, too.
  jar                 Prints the path of the job server's jar and, on standard error, which jar it is.
  start               Starts a JobManager and TaskManagers of one slot each, and waits until they are ready.
  status              Shows the cluster; exits with 1 unless all that was started runs.
  add_taskmanager     Starts one more TaskManager, say in place of one that has ended.
  submit ARGUMENTS    Runs photobeam build on the cluster, with these arguments.
  stop                Ends the cluster with all its Python workers; finished and running jobs are forgotten.

Environment:
  FLINK_DIR                   folder of configuration, logs and spilled data (~/.local/state/photobeam/flink);
                              clusters in different folders know nothing of one another
  FLINK_TASKMANAGERS          how many start begins with (one per core)
  FLINK_TASKMANAGER_MEMORY    of one, without its Python worker (1536m)
  FLINK_JOBMANAGER_MEMORY     (1024m)
  FLINK_HOST                  address that all ports are bound to (127.0.0.1)
  FLINK_REST_PORT             (8081), 0 for one that is free
  FLINK_RPC_PORT              (6123), 0 for one that is free
  FLINK_RESTART_ATTEMPTS      failures of steps that a job survives (6); a lost TaskManager costs several
  FLINK_JOB_SERVER_JAR        a job server you have, for Flink 1.20 (else the cached one)
  PHOTOBEAM                   the command (photobeam)
  PYTHON                      a Python with pip (python3)
  JAVA_HOME                   folder of Java 11 or newer, best 17 (else java of PATH)
TEXT
}

say() {
  echo "flink.sh: $*" >&2
}

fail() {
  say "$*"
  exit 1
}

# shellcheck source-path=SCRIPTDIR source=fetch.sh
source "$(dirname "${BASH_SOURCE[0]}")/fetch.sh"

dir=${FLINK_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/photobeam/flink}
start_seconds=120
stop_seconds=15

configure() {
  local host=${FLINK_HOST:-127.0.0.1} rest_port=${FLINK_REST_PORT:-8081} rpc_port=${FLINK_RPC_PORT:-6123}
  [ "$rest_port" != 0 ] || rest_port=$(free_port "$host")
  [ "$rpc_port" != 0 ] || rpc_port=$(free_port "$host")
  mkdir -p "$dir"/{conf,log,pid,tmp}
  cp "$flink_home"/conf/log4j-console.properties "$dir/conf"
  cat > "$dir/conf/config.yaml" << YAML
# Flags that Java 17 needs, as Flink ships them; a JVM without memory ends, and is not left half dead.
env.java.opts.all: $(sed -n 's/^ *all: //p' "$flink_home/conf/config.yaml") -XX:+ExitOnOutOfMemoryError -Djava.io.tmpdir=$dir/tmp
io.tmp.dirs: $dir/tmp
taskmanager.jvm-exit-on-oom: true

rest.address: $host
rest.bind-address: $host
rest.port: $rest_port
jobmanager.bind-host: $host
jobmanager.rpc.address: $host
jobmanager.rpc.port: $rpc_port
taskmanager.bind-host: $host
taskmanager.host: $host

jobmanager.memory.process.size: ${FLINK_JOBMANAGER_MEMORY:-1024m}
taskmanager.memory.process.size: ${FLINK_TASKMANAGER_MEMORY:-1536m}
# Each attempt at a job loads the classes of its jar anew.
taskmanager.memory.jvm-metaspace.size: 320m
# A slot has a Python worker of its own, with its own interpreter lock, when it is its TaskManager's only one.
taskmanager.numberOfTaskSlots: 1
# What crosses between stages is small, in many steps: each takes this many buffers of 32 KiB, not 512.
taskmanager.network.sort-shuffle.min-buffers: 64

restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: ${FLINK_RESTART_ATTEMPTS:-6}
restart-strategy.fixed-delay.delay: 2 s
# A TaskManager that is gone is missed after two heartbeats, one that is silent after the timeout.
heartbeat.interval: 2000
heartbeat.timeout: 30000
# A job that has too few TaskManagers waits this long for another.
slot.request.timeout: 60000
YAML
  echo "$host:$rest_port" > "$dir/address"
}

free_port() {
  "${PYTHON:-python3}" -c '
import socket, sys
with socket.socket() as listener:
    listener.bind((sys.argv[1], 0))
    print(listener.getsockname()[1])' "$1"
}

# Args: a name, Flink's script for such a process, and arguments. The process leads a session that its workers share.
run_process() {
  local name=$1 script=$2
  shift 2
  FLINK_CONF_DIR=$dir/conf FLINK_LOG_DIR=$dir/log FLINK_PID_DIR=$dir/tmp FLINK_IDENT_STRING=$name \
    STD_REDIRECT_TO_FILE=true setsid "$flink_home/bin/$script" start-foreground "$@" \
    < /dev/null > "$dir/log/$name.start" 2>&1 &
  echo $! > "$dir/pid/$name"
}

# Args: its number.
run_taskmanager() {
  run_process "taskmanager-$1" taskmanager.sh -D "taskmanager.resource-id=taskmanager-$1"
}

# Prints the pids of all processes of this cluster: those that were started here, and the workers that they started.
members() {
  local pid
  [ -n "$(ls "$dir/pid" 2> /dev/null)" ] || return 0
  for pid in $(pgrep --session "$(cat "$dir"/pid/* | paste -sd ,)"); do
    if grep -qszxF "FLINK_CONF_DIR=$dir/conf" "/proc/$pid/environ"; then
      echo "$pid"
    fi
  done
}

# Args: the number of a TaskManager that was just started.
await_taskmanager() {
  local deadline=$((SECONDS + start_seconds)) name
  until ask /taskmanagers | grep -qF "\"id\":\"taskmanager-$1\""; do
    sleep 0.2
    for name in jobmanager "taskmanager-$1"; do
      kill -0 "$(cat "$dir/pid/$name")" 2> /dev/null || fail "$name has ended: $(complaints "$name")"
    done
    [ $SECONDS -lt $deadline ] || fail "taskmanager-$1 is not ready in $start_seconds s: $(complaints "taskmanager-$1")"
  done
}

# Args: a path of Flink's REST interface.
ask() {
  curl --silent --fail --max-time 5 --noproxy '*' "http://$(cat "$dir/address")$1"
}

# Args: a process's name.
complaints() {
  find "$dir/log" -name "*$1*" -exec grep -hE '^(Caused by|Error|Could not|Unrecognized)|ERROR' {} + | tail -n 3
  echo "see $dir/log"
}

start() {
  local number count=${FLINK_TASKMANAGERS:-$(nproc)}
  [ -z "$(members)" ] || fail "a cluster runs in $dir: stop it first, or set FLINK_DIR to another folder"
  fetch
  forget
  configure
  trap stop EXIT
  run_process jobmanager jobmanager.sh
  for number in $(seq "$count"); do
    run_taskmanager "$number"
  done
  for number in $(seq "$count"); do
    await_taskmanager "$number"
  done
  trap - EXIT
  status
}

add_taskmanager() {
  local number=1
  while [ -e "$dir/pid/taskmanager-$number" ]; do
    number=$((number + 1))
  done
  run_taskmanager "$number"
  await_taskmanager "$number"
  echo "taskmanager-$number, process $(cat "$dir/pid/taskmanager-$number"): runs"
}

status() {
  local running file state rc=0
  running=$(members)
  echo "http://$(cat "$dir/address") (files: $dir)"
  for file in "$dir"/pid/*; do
    state=runs
    grep -qxf "$file" <<< "$running" || { state=ended && rc=1; }
    echo "$(basename "$file"), process $(cat "$file"): $state"
  done
  echo "job server: $job_server_jar ($(job_server_kind))"
  return $rc
}

submit() {
  local photobeam=${PHOTOBEAM:-photobeam}
  command -v "$photobeam" > /dev/null ||
    fail "there is no command $photobeam: activate the environment it is installed in, or set PHOTOBEAM to its path"
  exec "$photobeam" build --runner=FlinkRunner "--flink_master=$(cat "$dir/address")" \
    --flink_version=1.20 "--flink_job_server_jar=$job_server_jar" "$@"
}

# A JVM that is asked to end ends its workers; what does not end in time is killed.
stop() {
  local deadline=$((SECONDS + stop_seconds)) signal=TERM running
  running=$(members)
  while [ -n "$running" ]; do
    xargs kill -$signal <<< "$running" 2> /dev/null || true
    sleep 0.2
    [ $SECONDS -lt $deadline ] || signal=KILL
    running=$(members)
  done
  forget
}

forget() {
  rm -rf "$dir"/{pid,tmp,address}
}

command=${1:-help}
case $command in
  fetch | start | stop)
    $command
    ;;
  jar)
    fetch
    echo "$job_server_jar"
    say "$(job_server_kind)"
    ;;
  add_taskmanager | status | submit)
    [ -e "$dir/address" ] || fail "no cluster was started in $dir: start it, or set FLINK_DIR to its folder"
    $command "${@:2}"
    ;;
  help | -h | --help)
    usage
    ;;
  *)
    fail "there is no command $command: see flink.sh help"
    ;;
esac
