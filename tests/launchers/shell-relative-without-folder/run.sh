vllm serve ./outputs/model
