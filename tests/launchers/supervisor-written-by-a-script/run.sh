#!/bin/bash
set -e
WORKSPACE=/workspace
MODEL=org/m
pip install vllm==0.6.6.post1
mkdir -p /etc/supervisor/conf.d
cat > /etc/supervisor/conf.d/vllm.conf <<EOF
[program:vllm]
command=${WORKSPACE}/venv/bin/vllm serve ${MODEL} --host 0.0.0.0 --port 8000 --max-model-len 8192 --download-dir ${WORKSPACE}/hf
directory=${WORKSPACE}/stack
environment=HF_HOME="${WORKSPACE}/hf",HF_HUB_DISABLE_XET="1"
autostart=true
EOF
if ! pgrep -x supervisord >/dev/null 2>&1; then
  supervisord -c /etc/supervisor/supervisord.conf
fi
supervisorctl reread
supervisorctl update
supervisorctl restart vllm || supervisorctl start vllm
