#!/bin/sh
(
  export VLLM_LOGGING_LEVEL=DEBUG
  vllm serve org/a --port 8000
) &
vllm serve org/b --port 8001
