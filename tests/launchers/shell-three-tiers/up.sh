#!/bin/bash
SIZE=${1:-small}
case $SIZE in
  small) MODEL=Qwen/Qwen3-8B; TP=1; LEN=32768 ;;
  large) MODEL=Qwen/Qwen3-235B-A22B-FP8; TP=8; LEN=65536 ;;
  *) echo "small or large" >&2; exit 2 ;;
esac
ARGS="--tensor-parallel-size $TP --max-model-len $LEN"
((TP > 4)) && ARGS="$ARGS --enable-expert-parallel"
vllm serve $MODEL $ARGS --gpu-memory-utilization 0.92 --port 8000
