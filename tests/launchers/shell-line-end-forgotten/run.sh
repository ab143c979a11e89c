vllm serve org/m \
  --port 8001
  --max_model_len 16384
