#!/bin/bash
MODEL=Qwen/Qwen3-8B
KV='{"kv_connector":"NixlConnector","kv_role":"kv_both"}'
start() {
  CUDA_VISIBLE_DEVICES=$1 VLLM_NIXL_SIDE_CHANNEL_PORT=$((5600 + $1)) \
    vllm serve $MODEL --port $2 --kv-transfer-config "$KV" &
}
start 0 8100
start 1 8200
sleep 60
python3 toy_proxy_server.py --port 8000 --prefiller-port 8100 --decoder-port 8200
