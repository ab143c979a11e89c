#!/bin/bash
for m in /srv/models/qwen*; do
  vllm serve "$m" --port 8000
done
