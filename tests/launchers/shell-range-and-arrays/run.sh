#!/bin/bash
MODELS=("org/a" "org/b")
declare -a PORTS=(8001 8002)
COMMON="--max-model-len 4096 --trust-remote-code"
for i in {0..1}; do
  vllm serve ${MODELS[$i]} --port "${PORTS[i]}" $COMMON &
done
