#!/bin/bash
if [[ $(nvidia-smi --query-gpu=memory.total --format=csv,noheader,nounits | head -1) -gt 40000 ]]; then
  # a large card
  exec vllm serve org/large
fi
exec vllm serve org/small
