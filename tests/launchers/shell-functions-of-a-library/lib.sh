HOST=127.0.0.1
[ -n "${LIB_IS_READ:-}" ] && return
LIB_IS_READ=1
serve_model() {
  local name=$1 model=$2 port=$3
  vllm serve "$model" --served-model-name "$name" --host "$HOST" --port "$port" &
}
