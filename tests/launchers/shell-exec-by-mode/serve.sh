#!/bin/bash
set -euo pipefail
MODE=${1:-chat}
if [ "$MODE" = embed ]; then
  exec /opt/vllm/bin/vllm serve BAAI/bge-m3 --runner pooling --port 8002
fi
exec /opt/vllm/bin/vllm serve Qwen/Qwen3-8B --port 8001
