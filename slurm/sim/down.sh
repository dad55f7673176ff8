#!/usr/bin/env bash
# Stop the cluster of up.sh: its jobs, its daemons, its database. Logs and env's folder stay.
#
#   slurm/sim/down.sh [DIR]        DIR: slurm/sim/run unless named
#
# A process is ended only if it carries this cluster's SLURM_CONF in its environment: pids are
# reused, and other clusters may run beside this one.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
dir=$(cd "${1:-$here/run}" 2>/dev/null && pwd -P) || exit 0
[ -e "$dir/pid" ] || exit 0
unset "${!SLURM_@}" "${!SBATCH_@}"
PATH=$PATH:/usr/sbin:/sbin

ours() { grep -qzxF "SLURM_CONF=$SLURM_CONF" "/proc/$1/environ" 2>/dev/null; }

name_of() { cat "/proc/$1/comm" 2>/dev/null; }

# The pid in a file of DIR/pid, if it is still the program that was started.
pid_of() {
  local pid
  pid=$(cat "$dir/pid/$1.pid" 2>/dev/null) && [ -n "$pid" ] && ours "$pid" &&
    [ "$(name_of "$pid")" = "$2" ] && echo "$pid"
}

wait_until_gone() {
  local i
  for ((i = 0; i < 100; i++)); do
    ours "$1" || return 0
    sleep 0.05
  done
  return 1
}

end() {
  local pid
  pid=$(pid_of "$1" "$2") || return 0
  kill "$pid" 2>/dev/null
  wait_until_gone "$pid" || kill -9 "$pid" 2>/dev/null
}

# KILL at once, so that no task waits out KillWait.
cancel_jobs() {
  pid_of slurmctld slurmctld >/dev/null || return 0
  timeout 10 scancel --signal=KILL --full --user="$(id -un)" 2>/dev/null
  timeout 10 scancel --user="$(id -un)" 2>/dev/null
}

# A namespace's first process takes everything in it along. unshare ignores TERM, and ends its
# child when it is killed.
end_nodes() {
  local file node pid init
  for file in "$dir"/pid/unshare-*.pid; do
    [ -e "$file" ] || continue
    node=$(basename "$file" .pid)
    pid=$(pid_of "$node" unshare) || continue
    init=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null)
    kill -9 "$pid" 2>/dev/null
    wait_until_gone "${init:-$pid}"
  done
  [ "$(cat "$dir/pid/namespaces" 2>/dev/null)" = 0 ] || return 0
  for file in "$dir"/pid/slurmd-*.pid; do
    [ ! -e "$file" ] || end "$(basename "$file" .pid)" slurmd
  done
}

# Where there are no namespaces: steps, and what Slurm lost track of. A task carries SLURM_JOB_ID; a
# shell that merely sourced DIR/env does not, and is spared.
end_rest() {
  local folder pid
  for folder in /proc/[0-9]*; do
    pid=${folder#/proc/}
    [ "$pid" != $$ ] && ours "$pid" || continue
    case $(name_of "$pid") in
      slurmstepd | slurmd | slurmctld | slurmdbd | mariadbd | munged) kill -9 "$pid" 2>/dev/null ;;
      *) ! grep -qz '^SLURM_JOB_ID=' "$folder/environ" 2>/dev/null || kill -9 "$pid" 2>/dev/null ;;
    esac
  done
}

remove_database() {
  local data
  data=$(readlink "$dir/db/data" 2>/dev/null)
  case $data in /dev/shm/slurm-sim-db.*) rm -rf "$data" ;; esac
  rm -rf "$dir/db"
}

if [ -e "$dir/env" ]; then
  . "$dir/env"
  cancel_jobs
  end slurmctld slurmctld # before the nodes, or it would see them die and requeue their jobs
  end_nodes
  end slurmdbd slurmdbd
  end mariadbd mariadbd
  end munged munged
  end_rest
  case $SIM_DIR in
    /tmp/slurm-sim.*/run) rm -f "$SIM_DIR" && rmdir "${SIM_DIR%/run}" ;;
  esac
fi
remove_database
rm -rf "$dir/pid" "$dir/env"
