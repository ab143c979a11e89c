# shellcheck shell=bash
# What a root file system has mounted; sourced by root in a mount namespace of its own.

# /dev without terminals, and with an empty folder for /dev/shm
mount_devices() {
  local device
  mount -t tmpfs -o mode=755 tmpfs "$1/dev"
  mkdir "$1/dev/shm"
  for device in null zero full random urandom tty; do
    touch "$1/dev/$device"
    mount --bind "/dev/$device" "$1/dev/$device"
  done
  ln -s /proc/self/fd "$1/dev/fd"
}

# the root itself, /proc, /sys, /run, and all of /dev
mount_system() {
  mount --bind "$1" "$1"
  mount -t proc proc "$1/proc"
  mount -t sysfs sysfs "$1/sys"
  mount -t tmpfs tmpfs "$1/run"
  mount_devices "$1"
  mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
  mkdir "$1/dev/pts"
  mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts"
  ln -s pts/ptmx "$1/dev/ptmx"
}
