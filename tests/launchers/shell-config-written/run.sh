#!/bin/sh
PORT=${PORT:-8080}
mkdir -p /etc/vllm
cat > {here}/serve.yaml <<EOF
model: mistralai/Mistral-Small-24B
port: ${PORT}
served-model-name:
  - mistral
  - default
enable-prefix-caching: false
EOF
exec vllm serve --config {here}/serve.yaml --max-model-len 16k
