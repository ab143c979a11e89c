#!/bin/sh
#SBATCH --job-name=vllm70b
#SBATCH --gres=gpu:a100:4
. /opt/vllm/bin/activate
MODEL=org/llama-70b
NCCL_P2P_DISABLE=1 VLLM_SKIP_P2P_CHECK=1 vllm serve $MODEL \
    --max-model-len 20480  \
    --port 8000  \
    --dtype bfloat16 \
    --disable-custom-all-reduce \
    --tensor-parallel-size 4 >> vllm_server.log 2>&1 &
PID=$!

echo "Waiting for vLLM server (PID=$PID) to start..."
until curl -s http://localhost:8000/v1/models >/dev/null; do
  sleep 10
done
python3 evaluate.py --url http://localhost:8000
kill $PID
