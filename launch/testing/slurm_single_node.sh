#!/usr/bin/env bash
# Starts or stops a Slurm cluster of this one machine, in a folder.
#
#   launch/testing/slurm_single_node.sh start FOLDER
#   export SLURM_CONF=FOLDER/slurm.conf      # now sbatch, squeue, scontrol work
#   launch/testing/slurm_single_node.sh stop FOLDER
#
# On Debian: apt-get install slurm-wlm munge. Run this script as root. It is for
# tests only: the cluster has no accounting and no limits.
set -euo pipefail

start() {
  local folder=$1 name
  name=$(hostname -s)
  mkdir -p "$folder"/{state,spool,run}
  folder=$(cd "$folder" && pwd)
  [ -s "$folder/munge.key" ] || head -c 1024 /dev/urandom > "$folder/munge.key"
  chmod 400 "$folder/munge.key"
  chmod 755 "$folder"
  cat > "$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$name(127.0.0.1)
SlurmctldPort=${SLURM_TEST_PORT:-16817}
SlurmdPort=$((${SLURM_TEST_PORT:-16817} + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.socket
CryptoType=crypto/munge
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SchedulerParameters=sched_interval=1,batch_sched_delay=0,requeue_delay=1
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobRequeue=1
NodeName=$name NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=$name Default=YES MaxTime=INFINITE State=UP
CONF
  munged --force --key-file="$folder/munge.key" \
    --socket="$folder/run/munge.socket" --pid-file="$folder/run/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
  export SLURM_CONF=$folder/slurm.conf
  slurmctld
  slurmd
  for _ in $(seq 60); do
    if sinfo --noheader --format=%T 2>/dev/null | grep -q idle; then
      return 0
    fi
    sleep 0.5
  done
  echo "the node did not start; see $folder/slurmctld.log" >&2
  return 1
}

stop() {
  local folder=$1 name
  for name in slurmd slurmctld munged; do
    if [ -s "$folder/run/$name.pid" ]; then
      kill "$(cat "$folder/run/$name.pid")" 2>/dev/null || true
    fi
  done
}

case "${1:-}" in
  start | stop) "$1" "${2:?give a folder}" ;;
  *)
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
