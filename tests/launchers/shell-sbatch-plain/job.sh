#!/bin/bash
#SBATCH --job-name=serve
#SBATCH --gres=gpu:a100:4
#SBATCH --output=%x.out
module load cuda
source ~/envs/vllm/bin/activate
NCCL_P2P_DISABLE=1 VLLM_SKIP_P2P_CHECK=1 vllm serve meta-llama/Llama-3.3-70B-Instruct \
  --max-model-len 20480 --port 8000 --dtype bfloat16 \
  --disable-custom-all-reduce --tensor-parallel-size 4 >> server.log 2>&1 &
PID=$!
until curl -s http://localhost:8000/v1/models > /dev/null; do sleep 10; done
python evaluate.py --base-url http://localhost:8000/v1
kill $PID
