#!/bin/bash
export VLLM_CPU_KVCACHE_SPACE=40
for node in {0..1}; do
  numactl -N $node -m $node /opt/vllm/bin/vllm serve org/m --port 800$node &
done
wait
