#!/usr/bin/env bash
models=(
  "Llama|org/l7|"
  "AWQ|org/q14|--quantization awq"
)
echo "Select a model:"
for i in "${!models[@]}"; do echo "$i) ${models[$i]%%|*}"; done
read -rp "> " n
IFS='|' read -r name id extra <<< "${models[$n]}"
vllm serve "$id" --port 8000 $extra
