#!/bin/bash
MODEL_PATH="$1"
PORT=8000
EXTRA_ARGS="${@:2}"
if [ -z "$MODEL_PATH" ]; then
  echo "usage: $0 <model_path> [args...]"
  exit 1
fi
trap 'kill $(jobs -p)' EXIT
vllm serve --model "$MODEL_PATH" --port "$PORT" --host 127.0.0.1 $EXTRA_ARGS
