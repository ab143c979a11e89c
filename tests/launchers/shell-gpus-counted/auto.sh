#!/bin/bash
if command -v nvidia-smi >/dev/null; then
  NGPU=$(nvidia-smi -L | wc -l)
else
  NGPU=1
fi
vllm serve Qwen/Qwen3-32B -tp $NGPU
