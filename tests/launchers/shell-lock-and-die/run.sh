#!/bin/bash
log() { echo "[$(date +%T)] $*"; }
die() { log "$*"; exit 1; }
exec 200> /var/lock/vllm.lock
flock -n 200 || die "it runs already"
[[ -x /opt/vllm/bin/vllm ]] || die "no vllm"
[ -f /run/vllm.pid ] && kill "$(cat /run/vllm.pid)"
log starting
exec /opt/vllm/bin/vllm serve org/m --port 8000
