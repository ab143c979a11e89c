vllm serve org/m --port 8001 &
kubectl apply -f - <<END
kind: Pod
spec: {containers: [{image: "vllm/vllm-openai:v0.25.1"}]}
END
