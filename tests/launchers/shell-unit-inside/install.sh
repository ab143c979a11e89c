#!/bin/bash
set -e
MODEL=Qwen/Qwen3-14B
PORT=8000
python3 -m venv /opt/vllm
/opt/vllm/bin/pip install vllm
sudo tee /etc/systemd/system/vllm.service > /dev/null <<UNIT
[Unit]
Description=vLLM
[Service]
User=vllm
Environment=HF_HOME=/var/lib/vllm/hf
ExecStart=/opt/vllm/bin/vllm serve $MODEL --port $PORT
Restart=always
[Install]
WantedBy=multi-user.target
UNIT
sudo systemctl daemon-reload
sudo systemctl enable --now vllm
