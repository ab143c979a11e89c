#!/usr/bin/env bash
# Run a program as PID 1 of a root file system, in namespaces of its own, as a container runtime does:
#   run.sh ROOT RUN_FOLDER GROUP USER:GROUP [NAME=VALUE …] -- PROGRAM…
# The root is read-only; RUN_FOLDER has `state` and `log`, and gets the id of PID 1 as this host has it.
# Its file `shm` is the size of /dev/shm. Each line of its file `volumes` is a folder of this host and a name: it is
# /srv/NAME in there, read-only.
# GROUP is a control group of memory (version 1). Needs root.
set -euo pipefail
mounts=$(dirname "$(realpath "$0")")/../helpers/root_mounts.sh
root=$1 folder=$2 group=$3
shift 3
echo $$ > "/sys/fs/cgroup/memory/$group/cgroup.procs"
# shellcheck disable=SC2016
exec unshare --cgroup --mount --pid --ipc --uts --net --fork --kill-child=SIGKILL \
  --propagation private bash -ec '
source "$1"
root=$2 folder=$3 user=$4
shift 4
read -r pid _ < /proc/self/stat
echo "$pid" > "$folder/pid"
ip link set lo up
mount --bind "$root" "$root"
mount --bind "$folder/state" "$root/var/lib/vllmd"
mount --bind "$folder/log" "$root/var/log/vllmd"
mount -t tmpfs -o mode=755 tmpfs "$root/srv"
while read -r source name; do
  mkdir "$root/srv/$name"
  mount --bind "$source" "$root/srv/$name"
  mount -o remount,bind,ro "$root/srv/$name"
done < "$folder/volumes"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=775 tmpfs "$root/run/vllmd"
mount_devices "$root"
mount -t tmpfs -o "mode=1777,size=$(cat "$folder/shm")" tmpfs "$root/dev/shm"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
mkdir "$root/sys/fs/cgroup/memory"
mount -t cgroup -o memory,ro cgroup "$root/sys/fs/cgroup/memory"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
cd "$root"
pivot_root . mnt
umount -l /mnt
given=()
while [[ $1 != -- ]]; do given+=("$1"); shift; done
shift
exec env -i "${given[@]}" setpriv --reuid ${user%:*} --regid ${user#*:} --clear-groups --no-new-privs \
  --bounding-set=-all "$@"
' bash "$mounts" "$root" "$folder" "$@" < /dev/null
