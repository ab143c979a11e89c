#!/bin/bash
start() {
  /opt/vllm/bin/vllm serve org/m --port 8000 >> /var/log/vllm.log 2>&1 &
  PID=$!
}
start
while true; do
  sleep 30
  if ! kill -0 $PID 2> /dev/null; then
    echo "died, again"
    start
  fi
done
