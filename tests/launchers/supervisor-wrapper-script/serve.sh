#!/bin/bash
source /opt/vllm/bin/activate
exec vllm serve org/m --port ${VLLM_SERVE_PORT:-8000}
