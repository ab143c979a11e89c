pip install vllm
python3 train.py
