docker run --rm --gpus all `
  -v ${PWD}/.cache/huggingface:/root/.cache/huggingface `
  -p 8000:8000 --ipc=host `
  vllm/vllm-openai:v0.26.0 --model Qwen/Qwen3-8B --trust-remote-code
