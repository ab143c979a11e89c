#!/bin/bash
DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$DIR/lib.sh"
. "$DIR/lib.sh"
serve_model chat Qwen/Qwen3-8B 8001
serve_model embed BAAI/bge-m3 8002
wait
