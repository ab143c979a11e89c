export CUDA_VISIBLE_DEVICES=0
vllm serve a/b --port 8000 &
export CUDA_VISIBLE_DEVICES=1 VLLM_PORT=5000
vllm serve c/d --port 8001 &
wait
