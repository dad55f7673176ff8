#!/usr/bin/env bash
# Start a private Slurm cluster of several virtual nodes on this machine.
#
#   slurm/sim/up.sh [DIR]          DIR: slurm/sim/run unless named; then:  . DIR/env
#
# Works as root or as any plain user. Everything is private to DIR and to loopback: own munge key,
# own ports, own database; nothing under /etc, no systemd, no cgroups. See README.md beside this.
#
# Knobs (environment):
#   SIM_CPU_NODES=3  SIM_GPU_NODES=1   nodes c1.. (partitions cpu, scavenge) and g1.. (gpu); all has both
#   SIM_CPUS=8  SIM_MEM=8000 (MB)  SIM_GPUS=4     what each node pretends to have
#   SIM_ACCT=1            slurmdbd and a private MariaDB, so that sacct works; 0: no accounting
#   SIM_ENFORCE=          AccountingStorageEnforce, e.g. associations,limits,qos (1 means these three)
#   SIM_MAX_SUBMIT=       the user's MaxSubmitJobs; implies SIM_ENFORCE=1
#   SIM_MAX_ARRAY=1001    MaxArraySize: the highest index of an array is one less
#   SIM_PREEMPT_SIGNAL=0  1: preemption also sends --signal's signal (most sites send only TERM)
#   SIM_GRACE=5           GraceTime of scavenge, seconds
#   SIM_KILLWAIT=2        seconds between TERM and KILL
#   SIM_SLURMDTIMEOUT=10  seconds of silence after which a node is DOWN, plus about …
#   SIM_MESSAGETIMEOUT=10 … seconds that Slurm waits for an answer to any message
#   SIM_MINJOBAGE=3600    seconds for which squeue and scontrol still know an ended job
#   SIM_CLUSTER=sim       the cluster's name
#   SIM_JOIN=             DIR of a cluster that is up: be a second one of its accounting (squeue -M)
#   SIM_PRIVATE=          PrivateData, e.g. jobs: users do not see each other's jobs
#   SIM_NS=auto           1: each node in namespaces (own host name, can be power-cut); 0: not
#   SIM_PORT=             first of the ports; empty: a free block is found
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
mkdir -p "${1:-$here/run}"
dir=$(cd "${1:-$here/run}" && pwd -P)

: "${SIM_CPU_NODES:=3}" "${SIM_GPU_NODES:=1}" "${SIM_CPUS:=8}" "${SIM_MEM:=8000}" "${SIM_GPUS:=4}"
: "${SIM_ACCT:=1}" "${SIM_ENFORCE:=}" "${SIM_MAX_SUBMIT:=}" "${SIM_MAX_ARRAY:=1001}"
: "${SIM_PREEMPT_SIGNAL:=0}" "${SIM_GRACE:=5}" "${SIM_KILLWAIT:=2}" "${SIM_SLURMDTIMEOUT:=10}"
: "${SIM_MESSAGETIMEOUT:=10}" "${SIM_MINJOBAGE:=3600}" "${SIM_NS:=auto}" "${SIM_PORT:=}"
: "${SIM_CLUSTER:=sim}" "${SIM_JOIN:=}" "${SIM_PRIVATE:=none}"
[ -z "$SIM_MAX_SUBMIT" ] || : "${SIM_ENFORCE:=1}"
[ "$SIM_ENFORCE" != 1 ] || SIM_ENFORCE=associations,limits,qos
[ "$SIM_ENFORCE" != 0 ] || SIM_ENFORCE=

cluster=$SIM_CLUSTER
me=$(id -un)
block=100 # ports: the controller, slurmdbd, and the nodes
PATH=$PATH:/usr/sbin:/sbin
# up may itself be called from inside a job of another cluster
unset "${!SLURM_@}" "${!SBATCH_@}"

say() { echo "slurm/sim: $*" >&2; }
die() { say "$*"; exit 1; }

# Daemons must not inherit the locks, or these would be held for as long as the daemons live.
detached() { "$@" 8<&- 9<&-; }

check() {
  local command commands="munged slurmctld slurmd sbatch flock unshare setsid"
  [ "$SIM_ACCT" = 0 ] || commands+=" slurmdbd mariadbd mariadb mariadb-install-db"
  for command in $commands; do
    command -v "$command" >/dev/null || die "$command is missing; on Debian: apt-get install" \
      "--no-install-recommends slurm-wlm munge slurmdbd mariadb-server-core mariadb-client-core"
  done
  [ -z "$SIM_ENFORCE" ] || [ "$SIM_ACCT" != 0 ] || die "SIM_ENFORCE needs accounting: SIM_ACCT=1"
  ((SIM_CPU_NODES + SIM_GPU_NODES >= 1)) || die "a cluster needs a node"
  ((SIM_CPU_NODES + SIM_GPU_NODES <= block - 2)) || die "at most $((block - 2)) nodes"
}

# Whether the pid in a file of DIR/pid is a living process of this very cluster.
alive() {
  local pid
  pid=$(cat "$dir/pid/$1.pid" 2>/dev/null) && [ -n "$pid" ] &&
    grep -qzxF "SLURM_CONF=$SLURM_CONF" "/proc/$pid/environ" 2>/dev/null
}

is_up() (
  [ -e "$dir/pid/complete" ] && [ -e "$dir/env" ] && . "$dir/env" && alive slurmctld
)

# Slurm's files cannot quote every character, and a Unix socket's path has at most 107 bytes: a DIR
# that is long or has a space is given a short name, under which the daemons know it.
name_dir() {
  home=$dir
  if ((${#dir} > 60)) || [[ $dir =~ [^A-Za-z0-9/._+-] ]]; then
    home=$(mktemp -d /tmp/slurm-sim.XXXXXX)/run
    ln -s "$dir" "$home"
  fi
  export SLURM_CONF=$home/slurm.conf SIM_DIR=$home
  {
    echo "export SLURM_CONF=$SLURM_CONF SIM_DIR=$SIM_DIR"
    echo 'case :$PATH: in *:/usr/sbin:*) ;; *) export PATH=$PATH:/usr/sbin ;; esac'
  } >"$dir/env"
}

make_folders() {
  local i
  rm -rf "$dir"/{munge,state,spool,log,bin,dev,gres.conf,slurm.conf,slurmdbd.conf}
  mkdir -p "$dir"/{munge,state,spool,log,bin,dev}
  nodes=()
  for ((i = 1; i <= SIM_CPU_NODES; i++)); do nodes+=("c$i"); done
  for ((i = 1; i <= SIM_GPU_NODES; i++)); do nodes+=("g$i"); done
  for i in "${nodes[@]}"; do mkdir "$dir/spool/$i"; done

  if [ "$SIM_NS" = auto ]; then
    SIM_NS=0
    ! unshare -u -m -p --fork --kill-child --mount-proc true 2>/dev/null || SIM_NS=1
  fi
  echo "$SIM_NS" >"$dir/pid/namespaces"

  # stands in for mail(1), so that --mail-type can be tried; called with -s SUBJECT USER
  printf '#!/bin/sh\necho "$@" >>%s/log/mail.log\n' "$home" >"$dir/bin/mailprog"
  chmod 755 "$dir/bin/mailprog"
}

start_munge() {
  if [ -n "$SIM_JOIN" ]; then
    cp "$SIM_JOIN/munge/key" "$dir/munge/key"
  else
    head -c 1024 /dev/urandom >"$dir/munge/key"
  fi
  chmod 400 "$dir/munge/key"
  # --force: munged else refuses a socket below a folder that not everybody may enter, such as a
  # home; but nobody else need reach this one
  detached munged --force --key-file="$home/munge/key" --socket="$home/munge/munge.sock" \
    --pid-file="$home/pid/munged.pid" --log-file="$home/log/munged.log" \
    --seed-file="$home/munge/seed" --num-threads=4 2>"$dir/log/munged.out" ||
    die "munged: $(tail -1 "$dir/log/munged.out")"
}

install_database() {
  mariadb-install-db --no-defaults "${quick[@]}" --datadir="$home/db/data" --user="$me" \
    --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve \
    >"$dir/log/db-install.log" 2>&1
}

# A database without a port (Unix socket in DIR), in memory and without durability where that is
# possible: it is thrown away, and waiting for a busy disk would take seconds.
start_database() {
  local i quick=(--innodb-log-file-size=4M --innodb-flush-method=nosync --innodb-doublewrite=0)
  mkdir -p -m 700 "$dir/db"
  if [ -w /dev/shm ]; then
    ln -s "$(mktemp -d /dev/shm/slurm-sim-db.XXXXXX)" "$dir/db/data"
  fi
  install_database || {
    # seen once on a busy machine, with others starting beside it
    say "mariadb-install-db failed and is run again: $(tail -n 3 "$dir/log/db-install.log")"
    rm -rf "$dir/db/data/"*
    install_database || die "mariadb-install-db: $(tail -n 20 "$dir/log/db-install.log")"
  }
  # slurmdbd asks for the larger buffer pool and lock wait
  setsid mariadbd --no-defaults "${quick[@]}" --datadir="$home/db/data" --user="$me" \
    --socket="$home/db/sock" --pid-file="$home/pid/mariadbd.pid" --log-error="$home/log/mariadbd.log" \
    --skip-networking --skip-grant-tables --skip-log-bin --sync-binlog=0 \
    --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=256M \
    --innodb-lock-wait-timeout=900 </dev/null >/dev/null 2>&1 8<&- 9<&- &
  for ((i = 0; i < 400; i++)); do
    ! mariadb --no-defaults -S "$home/db/sock" -e "select 1" >/dev/null 2>&1 || return 0
    sleep 0.05
  done
  die "mariadbd does not answer after 20 s: see $dir/log/mariadbd.log"
}

# One cluster at a time looks for ports, and holds this lock until its daemons have bound theirs.
# A lock on the folder itself needs no file, which one user would make and another could not open.
lock_ports() {
  exec 9</tmp
  flock -w 120 9 || die "another up has been starting for two minutes (lock on /tmp)"
}

block_is_free() {
  local port hex used
  used=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
  for ((port = $1; port < $1 + block; port++)); do
    printf -v hex ':%04X ' "$port"
    [[ $used != *$hex* ]] || return 1
  done
}

choose_ports() {
  local try
  if [ -n "$SIM_PORT" ]; then
    block_is_free "$SIM_PORT" ||
      die "a port of $SIM_PORT-$((SIM_PORT + block - 1)) is in use: set another SIM_PORT, or none"
    port=$SIM_PORT
    return
  fi
  # whole blocks, so that a running cluster with a dead node keeps that node's port; below 32768,
  # where the kernel starts to take ports for outgoing connections
  for ((try = 0; try < 200; try++)); do
    port=$((20000 + block * (RANDOM % 127)))
    ! block_is_free "$port" || return 0
  done
  die "no $block free ports in a row between 20000 and 32700: set SIM_PORT"
}

# Where slurmd listens. In a namespace a node's name resolves to loopback, since we say so there.
# Without, slurmd can only listen on what this host's name means, or everywhere.
choose_addresses() {
  node_address=127.0.0.1
  communication=NoCtldInAddrAny
  if [ "$SIM_NS" = 1 ]; then
    communication+=,NoInAddrAny
    { cat /etc/hosts && echo "127.0.0.1 ${nodes[*]}"; } >"$dir/hosts"
  else
    local own
    own=$(getent ahostsv4 "$(hostname)" | awk 'NR == 1 {print $1}') || own=
    if [[ $own == 127.* ]]; then
      node_address=$own
      communication+=,NoInAddrAny
    else
      say "without namespaces the nodes listen on every interface (munge refuses strangers)"
    fi
  fi
}

describe_nodes() {
  local cpu="c[1-$SIM_CPU_NODES]" gpu="g[1-$SIM_GPU_NODES]" first=$((port + 2)) i
  local size="CPUs=$SIM_CPUS RealMemory=$SIM_MEM State=UNKNOWN NodeAddr=$node_address"
  local limits="MaxTime=1-00:00:00 DefaultTime=00:10:00 State=UP"
  : >"$dir/gres.conf"
  if ((SIM_CPU_NODES)); then
    echo "NodeName=$cpu Port=[$first-$((first + SIM_CPU_NODES - 1))] Feature=cpu,amd $size"
    echo "PartitionName=cpu Nodes=$cpu Default=YES PriorityTier=10 PreemptMode=OFF $limits"
    echo "PartitionName=scavenge Nodes=$cpu PriorityTier=1 PreemptMode=REQUEUE GraceTime=$SIM_GRACE $limits"
  fi
  if ((SIM_GPU_NODES)); then
    first=$((first + SIM_CPU_NODES))
    echo "NodeName=$gpu Port=[$first-$((first + SIM_GPU_NODES - 1))] Feature=gpu,intel Gres=gpu:h100:$SIM_GPUS $size"
    echo "PartitionName=gpu Nodes=$gpu PriorityTier=10 PreemptMode=OFF $limits"
    # only with File= does Slurm number the devices and set CUDA_VISIBLE_DEVICES, and only if it is
    # a character device: a link to /dev/null is one
    for ((i = 0; i < SIM_GPUS; i++)); do ln -s /dev/null "$dir/dev/nvidia$i"; done
    echo "NodeName=$gpu Name=gpu Type=h100 File=$home/dev/nvidia[0-$((SIM_GPUS - 1))]" >"$dir/gres.conf"
  fi
  local all
  all=$(IFS=, && echo "${nodes[*]}")
  echo "PartitionName=all Nodes=$all PriorityTier=5 PreemptMode=OFF MaxTime=UNLIMITED DefaultTime=00:10:00 State=UP"
}

describe_accounting() {
  if [ "$SIM_ACCT" = 0 ]; then
    echo "AccountingStorageType=accounting_storage/none"
    return
  fi
  echo "AccountingStorageType=accounting_storage/slurmdbd"
  echo "AccountingStorageHost=127.0.0.1"
  echo "AccountingStoragePort=$dbd_port"
  # the munge socket: connections to slurmdbd do not look at AuthInfo
  echo "AccountingStoragePass=$home/munge/munge.sock"
  echo "AccountingStorageTRES=gres/gpu"
  echo "AccountingStoreFlags=job_comment,job_script,job_env"
  [ -z "$SIM_ENFORCE" ] || echo "AccountingStorageEnforce=$SIM_ENFORCE"
}

write_config() {
  local text key
  # a fresh cluster must not use the job ids of an earlier one, whose files may still lie about
  local -A values=(
    [CLUSTER]=$cluster [PRIVATE]=$SIM_PRIVATE [HOST]=$(hostname -s) [USER]=$me [DIR]=$home [PORT]=$port
    [COMMUNICATION]=$communication [MEM_PER_CPU]=$((SIM_MEM / SIM_CPUS))
    [MAX_ARRAY]=$SIM_MAX_ARRAY [MINJOBAGE]=$SIM_MINJOBAGE [KILLWAIT]=$SIM_KILLWAIT
    [SLURMDTIMEOUT]=$SIM_SLURMDTIMEOUT [MESSAGETIMEOUT]=$SIM_MESSAGETIMEOUT
    [FIRST_JOB]=$(($(date +%s) % 500000 * 20 + 1000))
    [PREEMPT_SIGNAL]='# SlurmctldParameters=preempt_send_user_signal'
    [ACCOUNTING]=$(describe_accounting) [NODES]=$(describe_nodes)
  )
  [ "$SIM_PREEMPT_SIGNAL" = 0 ] || values[PREEMPT_SIGNAL]=${values[PREEMPT_SIGNAL]#\# }
  text=$(<"$here/slurm.conf.in")
  for key in "${!values[@]}"; do text=${text//"@$key@"/"${values[$key]}"}; done
  echo "$text" >"$dir/slurm.conf"
}

start_slurmdbd() {
  local i
  cat >"$dir/slurmdbd.conf" <<END
AuthType=auth/munge
AuthInfo=socket=$home/munge/munge.sock
DbdHost=$(hostname -s)
DbdAddr=127.0.0.1
DbdPort=$dbd_port
SlurmUser=$me
LogFile=$home/log/slurmdbd.log
PidFile=$home/pid/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=$me
StorageLoc=slurm_acct
END
  chmod 600 "$dir/slurmdbd.conf" # slurmdbd refuses any other mode
  # StorageHost=localhost means a Unix socket, and only this variable says which
  MYSQL_UNIX_PORT=$home/db/sock detached slurmdbd >"$dir/log/slurmdbd.out" 2>&1 ||
    die "slurmdbd: $(tail -1 "$dir/log/slurmdbd.out")"
  for ((i = 0; i < 400; i++)); do
    ! (: <"/dev/tcp/127.0.0.1/$dbd_port") 2>/dev/null || return 0
    sleep 0.05
  done
  die "slurmdbd does not answer after 20 s: see $dir/log/slurmdbd.log"
}

# The user belongs to the account science, and may use qos normal and long, but not short.
make_accounts() {
  {
    sacctmgr -i -Q add cluster "$cluster"
    [ -n "$SIM_ENFORCE" ] || return 0
    sacctmgr -i -Q add account science Description=science Organization=science
    sacctmgr -i -Q add user "$me" Account=science
    sacctmgr -i -Q add qos long,short
    # root is born with the account root as its default
    sacctmgr -i -Q modify user "$me" set DefaultAccount=science qos=normal,long
    [ -z "$SIM_MAX_SUBMIT" ] || sacctmgr -i -Q modify user "$me" set MaxSubmitJobs="$SIM_MAX_SUBMIT"
  } >>"$dir/log/sacctmgr.out" 2>&1 || die "sacctmgr: $(tail -2 "$dir/log/sacctmgr.out")"
}

start_slurm() {
  local i node
  detached slurmctld >"$dir/log/slurmctld.out" 2>&1 ||
    die "slurmctld: $(tail -1 "$dir/log/slurmctld.out")"
  for node in "${nodes[@]}"; do
    detached "$here/node.sh" "$dir" start "$node" || die "slurmd of $node: see $dir/log"
  done
  for ((i = 0; i < 400; i++)); do
    [ "$(sinfo -h -N -p all -t idle -o %N 2>/dev/null | wc -l)" != "${#nodes[@]}" ] || return 0
    # its pid file is a moment late
    ((i < 40)) || alive slurmctld || break
    sleep 0.05
  done
  sinfo -N -l >&2 || true
  die "the nodes are not idle after 20 s: see $dir/log" \
    "$(grep -hE 'fatal|error' "$dir/log/slurmctld.log" | tail -1)"
}

check
exec 8<"$dir"
flock -w 120 8 || die "another up of $dir has been starting for two minutes"
if is_up; then
  say "already up: . $dir/env"
  exit 0
fi
detached "$here/down.sh" "$dir" # what an interrupted up or a reboot has left

complete=
trap '[ -n "$complete" ] || detached "$here/down.sh" "$dir"' EXIT # never half a cluster
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -p "$dir/pid"
name_dir
make_folders
start_munge
[ "$SIM_ACCT" = 0 ] || [ -n "$SIM_JOIN" ] || start_database
lock_ports
choose_ports
dbd_port=$((port + 1))
[ -z "$SIM_JOIN" ] || dbd_port=$(sed -n 's/^DbdPort=//p' "$SIM_JOIN/slurmdbd.conf")
choose_addresses
write_config
if [ "$SIM_ACCT" != 0 ]; then
  [ -n "$SIM_JOIN" ] || start_slurmdbd
  make_accounts
fi
start_slurm
touch "$dir/pid/complete"
complete=1
say "${#nodes[@]} nodes are idle: . $dir/env"
