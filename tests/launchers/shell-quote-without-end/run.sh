vllm serve 'org/m --port 1
