#!/usr/bin/env bash
set -u
MODEL="org/g"; PORT=8514; TP=8
GPU_MEM=0.92
INPUT_LEN=2304; CONC=64; MAX_LEN=4096
LOG="/tmp/serve_boot.log"
OWN_PIDS=()
cleanup() {
    for pid in "${OWN_PIDS[@]}"; do
        if kill -0 "$pid" 2>/dev/null; then
            pgid=$(ps -o pgid= "$pid" 2>/dev/null | tr -d ' ')
            [[ -n "$pgid" ]] && kill -- -"$pgid" 2>/dev/null || true
        fi
    done
    OWN_PIDS=()
}
trap cleanup EXIT
CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7 \
    setsid /workspace/prj/bin/vllm serve ${MODEL} \
      --port ${PORT} --host 127.0.0.1 \
      --tensor-parallel-size ${TP} \
      --gpu-memory-utilization ${GPU_MEM} \
      --max-model-len ${MAX_LEN} \
      --max-num-seqs ${CONC} \
      --enable-prefix-caching \
      >> "${LOG}" 2>&1 &
SERVE_PID=$!
OWN_PIDS+=("$SERVE_PID")
READY=0
for i in $(seq 1 240); do
    if curl -sf "http://127.0.0.1:${PORT}/health" >/dev/null 2>&1; then
        READY=1; break
    fi
    sleep 5
done
if [[ $READY -eq 0 ]]; then
    echo "[boot] vllm not ready"; exit 1
fi
vllm bench serve --model ${MODEL} --port ${PORT} --num-prompts 500
