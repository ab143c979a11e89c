#!/usr/bin/env bash
GPU_LIST=0,1
export CUDA_VISIBLE_DEVICES=${GPU_LIST%%,*}
uv run --with vllm vllm serve openai/gpt-oss-20b --served-model-name gpt-oss --port 8000 \
  --enable-auto-tool-choice --tool-call-parser openai --async-scheduling &
VLLM=$!
trap 'kill $VLLM' EXIT
until curl -fs localhost:8000/health; do
  kill -0 $VLLM || exit 1
  sleep 5
done
docker run --rm -p 3000:8080 -e OPENAI_API_BASE_URL=http://host.docker.internal:8000/v1 ghcr.io/open-webui/open-webui:main
