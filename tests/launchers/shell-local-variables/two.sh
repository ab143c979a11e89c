#!/usr/bin/env bash
PORT=8000
MODEL=Qwen/Qwen3-4B
wait_for() {
  local PORT=$1
  until curl -sf "localhost:$PORT/health" > /dev/null; do sleep 1; done
}
launch() {
  local MODEL=$1 PORT=$2 GPU=$3
  CUDA_VISIBLE_DEVICES=$GPU vllm serve "$MODEL" --port "$PORT" > "$PORT.log" 2>&1 &
}
launch BAAI/bge-m3 9001 1
wait_for 9001
CUDA_VISIBLE_DEVICES=0 vllm serve "$MODEL" --port "$PORT"
