#!/bin/bash
source /opt/vllm/bin/activate
python - <<'EOF'
from vllm import LLM
llm = LLM("org/m")
EOF
