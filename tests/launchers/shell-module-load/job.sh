#!/bin/bash -l
module purge
module load python/3.12 cuda/12.8
source $HOME/envs/vllm/bin/activate
export HF_HUB_CACHE=$SCRATCH/hf
vllm serve mistralai/Mistral-Small-3.2-24B-Instruct-2506 --tokenizer-mode mistral --config-format mistral --load-format mistral
