#!/bin/bash
PORT=8981
serve_ok=0
for attempt in 1 2 3 4; do
  nohup /opt/vllm/bin/vllm serve org/q4b --port $PORT --gpu-memory-utilization 0.4 > vllm.log 2>&1 &
  VPID=$!
  for i in $(seq 1 120); do
    curl -s -m 3 localhost:$PORT/v1/models | grep -q q4b && { serve_ok=1; break; }
    kill -0 $VPID 2>/dev/null || break
    sleep 5
  done
  [ $serve_ok = 1 ] && break
  echo "attempt $attempt failed"; kill $VPID 2>/dev/null; sleep 20
done
[ $serve_ok = 1 ] || { echo "failed"; exit 1; }
