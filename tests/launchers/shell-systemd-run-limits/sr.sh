#!/bin/sh
systemd-run --unit=vllm --uid=llm -p MemoryMax=80% -p Restart=always --setenv=HF_HOME=/srv/hf -E CUDA_VISIBLE_DEVICES=1 --working-directory=/srv/llm /srv/llm/venv/bin/vllm serve ./m --port 8001
