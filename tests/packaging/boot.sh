#!/usr/bin/env bash
# Boot a root file system with systemd as PID 1 in namespaces of its own:
#   boot.sh ROOTFS NAME [SOURCE:TARGET …]     folders of this host to be seen there, read-only
# Needs root and cgroup v1 (or hybrid); ends when the system inside powers off.
set -euo pipefail
mounts=$(dirname "$(realpath "$0")")/../helpers/root_mounts.sh
root=$1 name=$2
shift 2
for controller in cpu cpuacct cpuset memory devices freezer blkio pids systemd unified; do
  folder=/sys/fs/cgroup/$controller/$name
  mkdir -p "$folder"
  if [[ $controller == cpuset ]]; then
    cat /sys/fs/cgroup/cpuset/cpuset.cpus > "$folder/cpuset.cpus"
    cat /sys/fs/cgroup/cpuset/cpuset.mems > "$folder/cpuset.mems"
  fi
  echo $$ > "$folder/cgroup.procs"
done
# shellcheck disable=SC2016
exec unshare --cgroup --mount --pid --ipc --uts --net --fork --kill-child=SIGKILL \
  --propagation private bash -ec '
source "$1"
root=$2
shift 2
ip link set lo up
mount_system "$root"
mount -t tmpfs tmpfs "$root/tmp"
cgroup=$root/sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs "$cgroup"
for controller in cpu cpuacct cpuset memory devices freezer blkio pids; do
  mkdir "$cgroup/$controller"
  mount -t cgroup -o "$controller" cgroup "$cgroup/$controller"
done
mkdir "$cgroup/systemd" "$cgroup/unified"
mount -t cgroup -o none,name=systemd cgroup "$cgroup/systemd"
mount -t cgroup2 cgroup2 "$cgroup/unified"
for pair in "$@"; do
  target=$root${pair#*:}
  mkdir -p "$target"
  mount --bind "${pair%%:*}" "$target"
  mount -o remount,bind,ro "$target"
done
hostname vllmd-test
cd "$root"
mkdir -p oldroot
pivot_root . oldroot
umount -l /oldroot
exec env -i container=unshare TERM=linux PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /sbin/init --log-target=console --log-level=info
' bash "$mounts" "$root" "$@" < /dev/null
