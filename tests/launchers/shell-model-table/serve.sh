#!/bin/bash
declare -A MODELS=(
  [qwen]="Qwen/Qwen3-8B"
  [llama]="meta-llama/Llama-3.1-8B-Instruct"
)
declare -A LEN=([qwen]=32768 [llama]=8192)
name=${1:?usage: serve.sh NAME}
if [[ -z "${MODELS[$name]:-}" ]]; then
  echo "unknown model $name" >&2; exit 1
fi
exec vllm serve "${MODELS[$name]}" --max-model-len "${LEN[$name]}" --port 8000
