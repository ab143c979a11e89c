#!/bin/bash
MODEL=Qwen/Qwen3-32B-AWQ
EXTRA=(--port 8000)
[[ $MODEL == *AWQ* ]] && EXTRA+=(--quantization awq_marlin)
case "${MODEL,,}" in
  *qwen3*) EXTRA+=(--enable-auto-tool-choice --tool-call-parser hermes) ;;
  *llama*) EXTRA+=(--enable-auto-tool-choice --tool-call-parser llama3_json) ;;
esac
vllm serve "$MODEL" "${EXTRA[@]}"
