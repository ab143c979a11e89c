#!/bin/bash
tmux new-session -d -s llm
tmux send-keys -t llm "source /opt/venvs/vllm/bin/activate" C-m
tmux send-keys -t llm "CUDA_VISIBLE_DEVICES=2 vllm serve Qwen/Qwen3-8B --port 8020 --reasoning-parser qwen3" Enter
