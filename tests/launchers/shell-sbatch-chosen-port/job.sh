#!/bin/bash
#SBATCH --gres=gpu:a100:2
#SBATCH --time=08:00:00
module load cuda/12.8
source ~/envs/vllm/bin/activate
PORT=$(shuf -i 8000-9000 -n 1)
echo "$(hostname):$PORT" > server.txt
vllm serve Qwen/Qwen3-32B --tensor-parallel-size 2 --port $PORT
