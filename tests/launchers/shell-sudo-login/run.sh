#!/bin/bash
sudo -iu llm /opt/vllm/bin/vllm serve org/m --port 8000
