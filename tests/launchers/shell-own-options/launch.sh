#!/bin/bash
MODEL="Qwen/Qwen3-0.6B"
PORT=8000
TP=1
EXTRA=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    -m|--model) MODEL="$2"; shift 2 ;;
    -p|--port) PORT="$2"; shift 2 ;;
    --tp=*) TP="${1#*=}"; shift ;;
    --) shift; EXTRA=("$@"); break ;;
    *) echo "unknown: $1"; exit 1 ;;
  esac
done
exec python3 -m vllm.entrypoints.openai.api_server --model "$MODEL" --port "$PORT" --tensor-parallel-size "$TP" "${EXTRA[@]}"
