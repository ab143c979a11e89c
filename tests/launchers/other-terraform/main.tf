resource "docker_container" "vllm" {
  name    = "vllm"
  image   = "vllm/vllm-openai:v0.30.0"
  command = ["--model", "org/m"]
  gpus    = "all"
}
