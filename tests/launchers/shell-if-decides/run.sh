#!/bin/bash
MODE=prod
if [ "$MODE" = "debug" ]; then
  EXTRA="--enforce-eager"
else
  EXTRA="--max-num-seqs 128"
fi
if ! command -v vllm > /dev/null; then
  echo "vLLM is missing"; exit 1
fi
vllm serve org/m $EXTRA
