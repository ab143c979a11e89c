#!/bin/bash
vllm serve org/m --port 8000 --kv-cache-dtype fp8 --max-num-seqs 256 --async-scheduling > server.log 2>&1 &
SERVER=$!
while ! grep -q "Application startup complete" server.log; do sleep 2; done
vllm bench serve --model org/m --port 8000 --num-prompts 100
kill $SERVER
wait $SERVER
