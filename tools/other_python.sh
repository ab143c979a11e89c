#!/usr/bin/env bash
# Run a command in a root file system, in namespaces of its own, without a network (needs root):
#   other_python.sh ROOTFS COMMAND …          the tree is expected in /opt/vllmd
set -euo pipefail
# shellcheck disable=SC2016
exec unshare --mount --pid --ipc --uts --net --fork --kill-child=SIGKILL --propagation private \
  bash -ec '
root=$1
shift
ip link set lo up
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  VLLMD_TESTS_ENDLESS_S=600 bash -ec "cd /opt/vllmd && exec \"\$@\"" bash "$@"
' bash "$@"
