source .venv/bin/activate
vllm serve org/m
