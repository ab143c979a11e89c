#!/bin/bash
set -e
export VLLM_PORT_HTTP=8123 VLLM_DTYPE=auto EAGER=true
MODEL_NAME="${VLLM_MODEL_NAME:-org/m7}"
CMD="vllm serve ${MODEL_NAME}"
[ -n "${VLLM_HOST:-}" ] && CMD+=" --host ${VLLM_HOST}"
[ -n "${VLLM_PORT_HTTP:-}" ] && CMD+=" --port ${VLLM_PORT_HTTP}"
[ -n "${VLLM_TP_SIZE:-}" ] && CMD+=" --tensor-parallel-size ${VLLM_TP_SIZE}"
[ -n "${VLLM_DTYPE:-}" ] && CMD+=" --dtype ${VLLM_DTYPE}"
CMD+=" --gpu-memory-utilization ${VLLM_GPU_UTIL:-0.95}"
if [ "${EAGER,,}" = "true" ]; then CMD+=" --enforce-eager"; fi
echo "Executing: $CMD"
exec $CMD
