#!/bin/bash
GPUS=(2 3 5)
export CUDA_VISIBLE_DEVICES=$(IFS=,; echo "${GPUS[*]}")
vllm serve org/m --tensor-parallel-size ${#GPUS[@]}
