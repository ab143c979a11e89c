#!/usr/bin/env bash
NUM_GPUS=3
BASE_PORT=8100
MODEL="Qwen/Qwen3-8B"
for ((i=0; i<NUM_GPUS; i++)); do
  port=$((BASE_PORT + i))
  CUDA_VISIBLE_DEVICES=$i HF_HOME=/srv/hf python3 -m vllm.entrypoints.openai.api_server \
    --model "$MODEL" --port $port --host 0.0.0.0 &> logs/vllm_$i.log &
done
wait
