#!/bin/bash
# A Slurm of one node on this machine, to try the executor out: Debian's slurm-wlm and munge.
#
#     tests/machines/slurm.sh up FOLDER [CPUS]    starts it; then: export SLURM_CONF=FOLDER/slurm.conf
#     tests/machines/slurm.sh down FOLDER         ends it
#
# It needs root, as the daemons start jobs of users. Processes are followed by their parents
# (proctrack/linuxproc), so that no cgroups are needed.
set -euo pipefail

verb=$1
folder=$(realpath -m "$2")
cpus=${3:-2}
node=$(hostname -s)
export SLURM_CONF=$folder/slurm.conf

down() {
    # Steps of jobs outlive the daemons, and wait for them for ever.
    scancel --user="$(id -un)" || true
    for _ in $(seq 15); do
        [ -n "$(squeue --noheader 2> /dev/null)" ] || break
        sleep 1
    done
    for daemon in slurmd slurmctld munged; do
        if [ -f "$folder/$daemon.pid" ]; then kill "$(cat "$folder/$daemon.pid")" || true; fi
    done
}

if [ "$verb" = down ]; then
    down
    exit 0
fi

mkdir -p "$folder/state" "$folder/spool"
dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 status=none
chown -R munge: "$folder/munge.key"
chmod 400 "$folder/munge.key"
mkdir -p /run/munge
chown munge: /run/munge
cat > "$folder/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=/run/munge/munge.socket.2
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
KillWait=10
MinJobAge=300
ReturnToService=2
NodeName=$node NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=all Nodes=$node Default=YES MaxTime=INFINITE State=UP
END

# It may run already, as Debian starts it with its package.
pgrep munged > /dev/null && pkill munged && sleep 1
# Its folders must not be for others to write; the checks are about servers with strangers on them.
munged --force --key-file="$folder/munge.key" --pid-file="/run/munge/bench.pid" --log-file=/run/munge/bench.log
cp /run/munge/bench.pid "$folder/munged.pid"
slurmctld -c
slurmd -c
for _ in $(seq 30); do
    state=$(sinfo --noheader --format %t 2> /dev/null || true)
    if [ "$state" = idle ]; then
        sinfo
        exit 0
    fi
    sleep 1
done
echo "the node does not become idle, see $folder/slurmctld.log and slurmd.log" >&2
tail -5 "$folder/slurmctld.log" "$folder/slurmd.log" >&2
exit 1
