#!/bin/bash
# the classic launch script
set -euo pipefail
MODEL_PATH=/srv/models/qwen
export LORA_PATH="/srv/lora/sql"
PORT=${PORT:-8001}
export CUDA_VISIBLE_DEVICES=0,1
source /opt/vllm/bin/activate
nohup vllm serve "$MODEL_PATH" \
  --port $PORT \
  --enable-lora --lora-modules sql=${LORA_PATH} \
  >> /var/log/vllm.log 2>&1 &
echo $! > /run/vllm.pid
