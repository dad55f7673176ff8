#!/usr/bin/env bash
# Break and restart one virtual node of the cluster of up.sh.
#
#   slurm/sim/node.sh DIR stop|kill|crash|hang|resume|start|pids NODE
#
#   stop, kill    end slurmd alone (TERM, KILL); its running tasks live on, as on a real node
#   crash         power cut: everything on the node dies (needs namespaces)
#   hang, resume  freeze and thaw everything on the node (without namespaces: slurmd alone)
#   start         start the node, or its slurmd, again
#   pids          this host's pids of everything on the node (without namespaces: of slurmd)
set -euo pipefail

usage() {
  sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

[ $# = 3 ] || usage
dir=$(cd "$1" && pwd -P) operation=$2 node=$3
[ -d "$dir/spool/$node" ] || { echo "node.sh: $dir has no node $node" >&2; exit 2; }
. "$dir/env"
PATH=$PATH:/usr/sbin:/sbin
namespaces=$(cat "$dir/pid/namespaces")

# The pid of the node's unshare, if the node has power.
unshare_pid() {
  local pid
  pid=$(cat "$dir/pid/unshare-$node.pid" 2>/dev/null) &&
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = unshare ] &&
    grep -qzxF "SLURM_CONF=$SLURM_CONF" "/proc/$pid/environ" && echo "$pid"
}

# The pid, outside, of the first process in the node's namespace.
init_pid() {
  local pid
  pid=$(unshare_pid) || { echo "node.sh: $node is not running" >&2; return 1; }
  tr -d ' ' <"/proc/$pid/task/$pid/children"
}

# All of the node, its first process last.
pids() {
  if [ "$namespaces" = 0 ]; then
    cat "$dir/pid/slurmd-$node.pid"
    return
  fi
  local init space folder
  init=$(init_pid)
  space=$(readlink "/proc/$init/ns/pid")
  for folder in /proc/[0-9]*; do
    if [ "${folder#/proc/}" != "$init" ] && [ "$(readlink "$folder/ns/pid" 2>/dev/null)" = "$space" ]; then
      echo "${folder#/proc/}"
    fi
  done
  echo "$init"
}

slurmd_pids() {
  local pid
  for pid in $(pids); do
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = slurmd ]; then echo "$pid"; fi
  done
}

# bash is the namespace's first process: it reaps orphans (slurmstepd leaves its parent), which
# slurmd as pid 1 would not, and it outlives slurmd, so that "stop" leaves the tasks running.
power_on() {
  setsid unshare -u -m -p --fork --kill-child --mount-proc bash -c '
    mount --bind "$2/hosts" /etc/hosts
    hostname "$1"
    slurmd -N "$1"
    while :; do sleep 1000 & wait $!; done
  ' init "$node" "$dir" </dev/null >>"$dir/log/slurmd-$node.out" 2>&1 &
  echo $! >"$dir/pid/unshare-$node.pid"
}

start() {
  if [ "$namespaces" = 0 ]; then
    slurmd -N "$node" >>"$dir/log/slurmd-$node.out" 2>&1
  elif unshare_pid >/dev/null; then
    nsenter -t "$(init_pid)" -u -m -p slurmd -N "$node" >>"$dir/log/slurmd-$node.out" 2>&1
  else
    power_on
  fi
}

crash() {
  if [ "$namespaces" = 0 ]; then
    echo "node.sh: a power cut needs namespaces (root), and this cluster has none: use kill" >&2
    return 1
  fi
  local init i
  init=$(init_pid)
  kill -9 "$(unshare_pid)"
  for ((i = 0; i < 100; i++)); do
    [ -e "/proc/$init" ] || return 0
    sleep 0.05
  done
}

case $operation in
  start) start ;;
  stop) kill $(slurmd_pids) ;;
  kill) kill -9 $(slurmd_pids) ;;
  crash) crash ;;
  hang) kill -STOP $(pids) ;;
  resume) kill -CONT $(pids) ;;
  pids) pids ;;
  *) usage ;;
esac
