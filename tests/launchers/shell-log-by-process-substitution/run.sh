#!/usr/bin/env bash
set -Eeuo pipefail
exec > >(tee -a /var/log/vllm/serve.log) 2>&1
export VLLM_LOGGING_LEVEL=INFO
exec /opt/venv/bin/vllm serve /models/llama --served-model-name llama --port 9100
