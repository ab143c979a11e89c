#!/bin/bash
SPEC="org/m|9100|2,3"
MODEL=$(cut -d'|' -f1 <<< "$SPEC")
PORT=$(echo "$SPEC" | cut -d'|' -f2)
GPUS=$(echo "$SPEC" | awk -F'|' '{print $3}')
COMMAS=${GPUS//[^,]/}
CUDA_VISIBLE_DEVICES=$GPUS vllm serve $MODEL --port $PORT -tp $((${#COMMAS} + 1))
