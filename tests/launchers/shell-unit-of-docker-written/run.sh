#!/bin/bash
set -euo pipefail
TP_SIZE=2
MODEL_NAME="org/vl-7b"
SERVED_NAME=vl
echo "=== 5/10  Pull vLLM image ==="
docker pull vllm/vllm-openai:latest
mkdir -p /var/lib/docker/vllm-cache
cat > /etc/systemd/system/vllm.service << SVC
[Unit]
Description=vLLM OpenAI server ($SERVED_NAME, TP=$TP_SIZE)
Requires=docker.service

[Service]
Type=simple
Restart=always
ExecStartPre=-/usr/bin/docker stop vllm
ExecStart=/usr/bin/docker run --rm --name vllm --gpus all --ipc=host \\
  -p 0.0.0.0:8000:8000 \\
  -v /var/lib/docker/vllm-cache:/root/.cache/huggingface \\
  vllm/vllm-openai:latest \\
  --model $MODEL_NAME \\
  --dtype bfloat16 \\
  --max-model-len 32768 \\
  --tensor-parallel-size $TP_SIZE \\
  --gpu-memory-utilization 0.85 \\
  --limit-mm-per-prompt '{"image":1}' \\
  --served-model-name $SERVED_NAME
ExecStop=/usr/bin/docker stop vllm
SVC
systemctl daemon-reload
systemctl enable --now vllm
echo "vLLM starting"
