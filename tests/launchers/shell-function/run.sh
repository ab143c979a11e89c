#!/bin/bash
start_server() {
  local gpu=$1 port=$2
  shift 2
  CUDA_VISIBLE_DEVICES="$gpu" vllm serve /srv/models/base --port "$port" "$@" &
}
start_server 0 8001 --max-num-seqs 32
start_server 1 8002
