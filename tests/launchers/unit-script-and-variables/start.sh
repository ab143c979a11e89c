#!/bin/bash
exec /opt/vllm/bin/vllm serve org/model --port $PORT
