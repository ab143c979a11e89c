#!/bin/sh
systemd-run --unit=vllm --property=EnvironmentFile={here}/v.env \
  --property=WorkingDirectory=/srv/llm --property=Restart=on-failure \
  /opt/vllm/bin/vllm serve ./models/qwen --port 8000
