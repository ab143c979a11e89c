#!/bin/sh
exec vllm serve "$(cat /etc/llm/model)" --port 8000
