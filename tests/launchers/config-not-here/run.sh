#!/bin/bash
export VLLM_CONFIG=/etc/vllm/a.yaml
vllm serve --config "${VLLM_CONFIG}" --port 8001
