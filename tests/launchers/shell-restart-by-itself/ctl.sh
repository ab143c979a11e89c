#!/bin/bash
case "$1" in
  start)
    /opt/vllm/bin/vllm serve org/m --port 8000 > /var/log/vllm.log 2>&1 &
    echo $! > /run/vllm.pid
    ;;
  stop)
    kill "$(cat /run/vllm.pid)"
    ;;
  restart)
    "$0" stop
    sleep 2
    "$0" start
    ;;
  *)
    echo "usage: $0 start|stop|restart"
    exit 1
    ;;
esac
