#!/usr/bin/env bash
set -Eeuo pipefail
LORA_DIR=${LORA_DIR:-}
QUANT=fp8

start() {
  local name=$1 port=$2; shift 2
  local -a args=(--port "$port" --served-model-name "$name" --host 127.0.0.1)
  if [[ -n "$LORA_DIR" ]]; then
    args+=(--enable-lora --lora-modules "sql=$LORA_DIR/sql")
  fi
  [[ $QUANT == none ]] || args+=(--quantization "$QUANT")
  nohup /opt/vllm/bin/vllm serve "$@" "${args[@]}" >>/var/log/$name.log 2>&1 &
  echo $! > /run/$name.pid
}

start chat 8000 meta-llama/Llama-3.1-8B-Instruct --gpu-memory-utilization 0.5
start embed 8001 BAAI/bge-m3 --runner pooling --gpu-memory-utilization 0.2
wait -n
