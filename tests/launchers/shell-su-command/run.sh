#!/bin/sh
su - llm -c 'HF_HOME=/srv/hf /opt/vllm/bin/vllm serve org/m --port 8000'
