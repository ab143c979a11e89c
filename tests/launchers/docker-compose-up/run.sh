docker compose -f vllm.yml up -d
