#!/bin/bash
PORT=8000
sudo -u llm bash <<EOF
export HF_HOME=/srv/hf
exec /opt/vllm/bin/vllm serve org/m --port $PORT
EOF
