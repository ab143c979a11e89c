job "vllm" {
  group "gpu" {
    task "serve" {
      driver = "docker"
      config {
        image = "vllm/vllm-openai:v0.27.0"
        args  = ["--model", "Qwen/Qwen3-8B", "--max-model-len", "8192"]
        ports = ["http"]
      }
    }
  }
}
