docker compose -f monitoring.yml up -d
ssh gpu-2 bash -s <<'END'
export CUDA_VISIBLE_DEVICES=1
exec /opt/v/bin/vllm serve org/m --port 9
END
