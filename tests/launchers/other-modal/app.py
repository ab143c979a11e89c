import subprocess

import modal

app = modal.App("llm")


@app.function(gpu="H100")
@modal.web_server(port=8000)
def serve():
    subprocess.Popen("vllm serve org/m --port 8000", shell=True)
