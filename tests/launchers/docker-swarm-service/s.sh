docker service create --name vllm --generic-resource gpu=1 -p 8000:8000 vllm/vllm-openai:v0.25.0 --model a/b
