#!/bin/bash
KEY="sk-$(openssl rand -hex 16)"
echo "key: $KEY"
vllm serve org/m --port 8000 --api-key "$KEY"
