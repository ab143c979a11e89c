#!/bin/bash
PORT=$((8000 + RANDOM % 1000))
vllm serve org/m --port $PORT
