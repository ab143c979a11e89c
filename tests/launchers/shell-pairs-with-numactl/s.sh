#!/bin/bash
for pair in "0:8000" "1:8001"; do
  gpu=${pair%%:*}; port=${pair##*:}
  numactl --cpunodebind=$gpu --membind=$gpu env CUDA_VISIBLE_DEVICES=$gpu /opt/v/bin/vllm serve a/b --port $port > $port.log 2>&1 &
done
