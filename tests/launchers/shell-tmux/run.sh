tmux new-session -d -s vllm "CUDA_VISIBLE_DEVICES=0 vllm serve org/m --port 8001"
