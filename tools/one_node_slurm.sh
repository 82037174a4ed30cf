#!/bin/sh
# A Slurm of one node on this machine, for tests, with all its files in one folder:
#   tools/one_node_slurm.sh start DIR    then set SLURM_CONF=DIR/slurm.conf
#   tools/one_node_slurm.sh stop DIR
# Needs root and Debian's packages slurmctld, slurmd, slurm-client and munge.
set -eu
action=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
PATH=$PATH:/usr/sbin

stop() {
    for name in slurmd slurmctld munged; do
        if [ -s "$dir/$name.pid" ]; then
            kill "$(cat "$dir/$name.pid")" 2>/dev/null || true
            rm -f "$dir/$name.pid"
        fi
    done
}

# Wait up to 30 seconds for a command to succeed.
await() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -ge 60 ]; then
            echo "one_node_slurm: no success in 30 seconds: $*; the logs are in $dir" >&2
            stop
            exit 1
        fi
        sleep 0.5
    done
}

if [ "$action" = stop ]; then
    stop
    exit
fi

for command in munged slurmctld slurmd sbatch; do
    if ! command -v "$command" >/dev/null; then
        echo "one_node_slurm: $command is not installed: apt install slurmctld slurmd slurm-client munge" >&2
        exit 1
    fi
done
host=$(hostname -s)
mkdir -p "$dir/state" "$dir/spool"
chmod 755 "$dir"
dd if=/dev/urandom of="$dir/munge.key" bs=1024 count=1 2>/dev/null
chmod 400 "$dir/munge.key"
cat >"$dir/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=${SLURM_TEST_PORT:-26817}
SlurmdPort=$((${SLURM_TEST_PORT:-26817} + 1))
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_min_interval=100000
ReturnToService=2
MailProg=/bin/true
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munged.seed"
export SLURM_CONF="$dir/slurm.conf"
slurmctld
await sinfo
slurmd
await sh -c 'sinfo --noheader --format=%T | grep -qx idle'
