eval "$(conda shell.bash hook)"
conda activate llm
vllm serve org/m
