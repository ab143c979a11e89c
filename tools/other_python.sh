#!/usr/bin/env bash
# Run a command in a root file system, in namespaces of its own, without a network (needs root):
#   other_python.sh ROOTFS COMMAND …          the tree is expected in /opt/vllmd
set -euo pipefail
mounts=$(dirname "$(realpath "$0")")/../tests/helpers/root_mounts.sh
# shellcheck disable=SC2016
exec unshare --mount --pid --ipc --uts --net --fork --kill-child=SIGKILL --propagation private \
  bash -ec '
source "$1"
root=$2
shift 2
ip link set lo up
mount_system "$root"
exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  VLLMD_TESTS_ENDLESS_S=600 bash -ec "cd /opt/vllmd && exec \"\$@\"" bash "$@"
' bash "$mounts" "$@"
