"""What PyTorch says of CUDA, and where."""

ASYNC = (
    "\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be "
    "incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\n"
    "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n"
)
RUNNER = "vllm/v1/worker/gpu_model_runner.py"
CUDA_INIT = ("torch/cuda/__init__.py", "_lazy_init", "torch._C._cuda_init()")


def cuda(words: str) -> str:
    """Return how PyTorch tells an error of CUDA."""
    return f"CUDA error: {words}{ASYNC}"
