#!/bin/bash
#SBATCH --nodes=1
#SBATCH --gres=gpu:A100_40GB:1
model_name=$1
port=$2
source /opt/vllm/bin/activate
vllm serve $model_name \
    --host $(scontrol show hostnames $SLURM_JOB_NODELIST | head -n 1) \
    --port $port \
    --gpu-memory-utilization 0.95 \
    --served-model-name llm
