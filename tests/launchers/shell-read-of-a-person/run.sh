#!/bin/bash
read -p "Port [8000]: " PORT
PORT=${PORT:-8000}
vllm serve org/m --port $PORT
