#!/bin/bash
#SBATCH --gres=gpu:4
module load cuda
srun --ntasks=1 vllm serve org/m --port 8000
