#!/usr/bin/env bash
set -Eeuo pipefail
pids=()
cleanup() { for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; }
trap cleanup EXIT INT TERM

launch() {
  local name=$1 model=$2 port=$3 util=$4; shift 4
  CUDA_VISIBLE_DEVICES=0 vllm serve "$model" --served-model-name "$name" \
    --port "$port" --gpu-memory-utilization "$util" "$@" > "logs/$name.log" 2>&1 &
  pids+=($!)
}

wait_for() {
  until curl -sf "http://localhost:$1/health" > /dev/null; do sleep 2; done
}

launch chat Qwen/Qwen3-8B 8001 0.45
wait_for 8001
launch embed Qwen/Qwen3-Embedding-0.6B 8002 0.2 --runner pooling
wait_for 8002
wait -n
