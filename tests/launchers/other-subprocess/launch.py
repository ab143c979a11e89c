import subprocess

for gpu in range(4):
    subprocess.Popen(["vllm", "serve", "org/m", "--port", str(8000 + gpu)])
