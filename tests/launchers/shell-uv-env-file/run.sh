#!/bin/bash
exec uv run --env-file prod.env vllm serve Qwen/Qwen3-8B --port 8000
