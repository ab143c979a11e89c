#!/bin/bash
PORT=8000
while [[ $# -gt 0 ]]; do
  case "$1" in
    --model) MODEL="$2"; shift 2 ;;
    --port) PORT="$2"; shift 2 ;;
    --gpus) GPUS="$2"; shift 2 ;;
    -h|--help) echo help; exit 0 ;;
    *) echo "what is $1?"; exit 1 ;;
  esac
done
IFS=',' read -ra LIST <<< "$GPUS"
export CUDA_VISIBLE_DEVICES="$GPUS"
exec vllm serve "$MODEL" --port "$PORT" --tensor-parallel-size "${#LIST[@]}"
