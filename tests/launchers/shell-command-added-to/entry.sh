#!/bin/bash
set -e
MODEL_NAME="${VLLM_MODEL_NAME:-mistralai/Mistral-7B-Instruct-v0.3}"
VLLM_PORT=9000
CMD="vllm serve ${MODEL_NAME}"
[ -n "${VLLM_HOST:-}" ] && CMD+=" --host ${VLLM_HOST}"
[ -n "${VLLM_PORT:-}" ] && CMD+=" --port ${VLLM_PORT}"
[ -n "${VLLM_DTYPE:-}" ] && CMD+=" --dtype ${VLLM_DTYPE}"
[ "${TRUST:-false}" = "true" ] && CMD="$CMD --trust-remote-code"
echo "+ $CMD"
exec $CMD
