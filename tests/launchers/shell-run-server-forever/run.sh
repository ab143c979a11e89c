#!/bin/bash
LOG_DIR="../vllm_logs"
mkdir -p "$LOG_DIR"
run_server() {
    local MODEL_NAME=$1
    local PORT=$2
    local LOG_FILE=$3
    local CMD=$4
    echo "Starting $MODEL_NAME on port $PORT..."
    while true; do
        eval "$CMD > \"$LOG_FILE\" 2>&1"
        echo "$MODEL_NAME crashed; restarting in 10 s"
        sleep 10
    done
}
CMD1="CUDA_VISIBLE_DEVICES=0 vllm serve org/l8 --port 8368 --dtype auto --api-key token-abc123 --gpu-memory-utilization 0.7"
CMD2="CUDA_VISIBLE_DEVICES=1,2 vllm serve org/l70 --port 8369 --api-key token-abc123 --tensor-parallel-size 2"
run_server "org/l8" 8368 "$LOG_DIR/a.log" "$CMD1" &
PID1=$!
run_server "org/l70" 8369 "$LOG_DIR/b.log" "$CMD2" &
PID2=$!
trap "kill $PID1 $PID2" EXIT
wait
