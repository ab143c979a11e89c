vllm serve ./outputs/model --ssl-keyfile tls/key.pem
