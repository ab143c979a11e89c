#!/bin/bash
set -euo pipefail

PORT=$1
MAX_NUM_SEQS=${2:-}
MODEL=meta-llama/L3-8B

export CUDA_HOME=~/venv-vllm/lib/python3.10/site-packages/nvidia/cu13
export PATH=$CUDA_HOME/bin:$PATH
source ~/venv-vllm/bin/activate

ARGS=(--port "$PORT" --attention-backend FLASHINFER)
if [ -n "$MAX_NUM_SEQS" ]; then
  ARGS+=(--max-num-seqs "$MAX_NUM_SEQS")
fi

vllm serve "$MODEL" "${ARGS[@]}"
