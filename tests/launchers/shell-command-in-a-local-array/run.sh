#!/bin/bash
export CUDA_VISIBLE_DEVICES=0
serve() {
  local model=$1 port=$2 util=${3:-}
  local -a cmd=(vllm serve "$model" --port "$port")
  [[ -z $util ]] || cmd+=(--gpu-memory-utilization "$util")
  "${cmd[@]}" > "/tmp/$port.log" 2>&1 &
}
serve org/a 8000 0.6
serve org/b 8001
wait
