#!/bin/bash
cd /srv/bench
PORT=8005
cat > config.yaml <<END
model: org/m
port: $PORT
max-model-len: 2048
enforce-eager: true
served-model-name: [a, b]
END
vllm serve --config config.yaml --max-num-seqs 8
