ssh gpu-2 'CUDA_VISIBLE_DEVICES=0 vllm serve org/m --port 9'
