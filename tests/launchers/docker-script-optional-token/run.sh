#!/bin/bash
set -e
IMAGE=${IMAGE:-vllm/vllm-openai:v0.31.0}
MODEL=${MODEL:-Qwen/Qwen3-8B}
PORT=${PORT:-8000}
GPU_MEM=${GPU_MEM:-0.85}
HF_HOME=${HF_HOME:-/data/hf}
echo "model : $MODEL"
docker run --rm --privileged --ipc=host \
    --ulimit memlock=-1 --ulimit stack=67108864 \
    -e NVIDIA_VISIBLE_DEVICES=all \
    -e HF_HOME=/cache/huggingface -e HUGGINGFACE_HUB_CACHE=/cache/huggingface \
    ${HF_TOKEN:+-e HF_TOKEN="${HF_TOKEN}"} \
    -v "${HF_HOME}:/cache/huggingface" \
    -p "${PORT}:${PORT}" \
    "$IMAGE" \
    --model "$MODEL" --host 0.0.0.0 --port "$PORT" \
    --gpu-memory-utilization "$GPU_MEM" --max-model-len 16384 \
    --dtype bfloat16 --trust-remote-code \
    --served-model-name "$(basename "$MODEL")"
