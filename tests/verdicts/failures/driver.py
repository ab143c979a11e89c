"""The driver of the GPU: is there one, does it fit, does it find the GPU?"""

from tests.verdicts.model import V1, Phase, Raised, Who, failure

ASYNC = (
    "\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be "
    "incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\n"
    "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n"
)
RUNNER = "vllm/v1/worker/gpu_model_runner.py"
CUDA_INIT = ("torch/cuda/__init__.py", "_lazy_init", "torch._C._cuda_init()")


def _cuda(words: str) -> str:
    return f"CUDA error: {words}{ASYNC}"


FAILURES = (
    failure(
        "no-device-type",
        Phase.CONFIGURATION,
        Who.API,
        "no_gpu",
        True,
        "Failed to infer device type",
        "vllm/config.py (0.6, 0.8), vllm/config/device.py (0.11 to 0.32)",
        Raised(
            "RuntimeError",
            "Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG` to turn on verbose logging to help debug the issue.",
            "vllm/config/device.py",
            "__post_init__",
            "raise RuntimeError(",
        ),
        versions=("0.6.6", "0.8.5", "0.11.0", "0.32.0"),
    ),
    failure(
        "no-cuda-gpus",
        Phase.INITIALIZATION,
        Who.CORE,
        "no_gpu",
        True,
        "No CUDA GPUs are available",
        "torch c10/cuda/CUDAFunctions.cpp, device_count_ensure_non_zero",
        Raised("RuntimeError", "No CUDA GPUs are available", *CUDA_INIT),
        versions=("0.6.6", "0.9.1", "0.11.0", "0.25.1"),
    ),
    failure(
        "no-nvml-library",
        Phase.CONFIGURATION,
        Who.API,
        "no_gpu driver_mismatch",
        True,
        "NVML Shared Library Not Found",
        "pynvml, NVML_ERROR_LIBRARY_NOT_FOUND; vllm/platforms/cuda.py",
        Raised(
            "vllm.third_party.pynvml.NVMLError_LibraryNotFound",
            "NVML Shared Library Not Found",
            "vllm/third_party/pynvml.py",
            "_LoadNvmlLibrary",
            "_nvmlCheckReturn(NVML_ERROR_LIBRARY_NOT_FOUND)",
        ),
        versions=("0.8.5", "0.11.0"),
    ),
    failure(
        "driver-library-mismatch",
        Phase.CONFIGURATION,
        Who.API,
        "driver_mismatch",
        True,
        "Driver/library version mismatch",
        "NVML, NVML_ERROR_LIB_RM_VERSION_MISMATCH: nvmlErrorString",
        Raised(
            "vllm.third_party.pynvml.NVMLError_LibRmVersionMismatch",
            "Driver/library version mismatch",
            "vllm/third_party/pynvml.py",
            "nvmlInitWithFlags",
            "_nvmlCheckReturn(ret)",
        ),
        versions=("0.8.5", "0.11.0", "0.25.1"),
    ),
    failure(
        "driver-too-old",
        Phase.INITIALIZATION,
        Who.CORE,
        "driver_mismatch",
        True,
        "driver on your system is too old",
        "torch torch/csrc/cuda or c10/cuda/CUDAFunctions.cpp, cudaErrorInsufficientDriver",
        Raised(
            "RuntimeError",
            "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by downloading and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx Alternatively, go to: https://pytorch.org to install a PyTorch version that has been compiled with your version of the CUDA driver.",
            *CUDA_INIT,
        ),
        versions=("0.6.6", "0.8.5", "0.11.0"),
    ),
    failure(
        "driver-803",
        Phase.INITIALIZATION,
        Who.CORE,
        "driver_mismatch",
        True,
        "Error 803",
        "torch c10/cuda/CUDAFunctions.cpp; cudaErrorSystemDriverMismatch",
        Raised(
            "RuntimeError",
            "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 803: system has unsupported display driver / cuda driver combination",
            *CUDA_INIT,
        ),
        versions=("0.6.6", "0.10.1", "0.19.0"),
    ),
    failure(
        "driver-804",
        Phase.INITIALIZATION,
        Who.CORE,
        "driver_mismatch",
        True,
        "Error 804",
        "torch c10/cuda/CUDAFunctions.cpp; cudaErrorCompatNotSupportedOnDevice",
        Raised(
            "RuntimeError",
            "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 804: forward compatibility was attempted on non supported HW",
            *CUDA_INIT,
        ),
        versions=("0.9.1", "0.11.0"),
    ),
    failure(
        "driver-unsupported-toolchain",
        Phase.PROFILING,
        Who.CORE,
        "driver_mismatch",
        True,
        "unsupported toolchain",
        "CUDA runtime, cudaErrorUnsupportedPtxVersion",
        Raised(
            "torch.AcceleratorError",
            _cuda("the provided PTX was compiled with an unsupported toolchain."),
            "vllm/_custom_ops.py",
            "reshape_and_cache_flash",
            "torch.ops._C_cache_ops.reshape_and_cache_flash(",
        ),
        versions=("0.11.0", "0.19.0", "0.25.1"),
    ),
    failure(
        "fabric-802",
        Phase.INITIALIZATION,
        Who.CORE,
        "fabric_manager",
        None,
        "Error 802",
        "torch c10/cuda/CUDAFunctions.cpp; cudaErrorSystemNotReady",
        Raised(
            "RuntimeError",
            "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 802: system not yet initialized",
            *CUDA_INIT,
        ),
        versions=("0.8.5", "0.11.0", "0.32.0"),
    ),
    failure(
        "forked-after-cuda",
        Phase.INITIALIZATION,
        Who.WORKER,
        "fork_cuda",
        True,
        "Cannot re-initialize CUDA in forked subprocess",
        "torch/cuda/__init__.py, _lazy_init",
        Raised(
            "RuntimeError",
            "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the 'spawn' start method",
            "torch/cuda/__init__.py",
            "_lazy_init",
            "raise RuntimeError(",
        ),
        versions=("0.6.6", "0.8.5", "0.11.0"),
    ),
    failure(
        "no-such-device",
        Phase.INITIALIZATION,
        Who.WORKER,
        "parallel_misfit no_gpu",
        True,
        "invalid device ordinal",
        "CUDA runtime, cudaErrorInvalidDevice; more ranks than GPUs before vLLM counts them itself",
        Raised(
            "RuntimeError",
            _cuda("invalid device ordinal"),
            "vllm/v1/worker/gpu_worker.py",
            "init_device",
            "torch.cuda.set_device(self.device)",
        ),
        versions=("0.6.6", "0.8.5", "0.11.0"),
    ),
    failure(
        "compiled-without-cuda",
        Phase.INITIALIZATION,
        Who.CORE,
        "broken_install no_gpu missing_kernels",
        True,
        "Torch not compiled with CUDA enabled",
        "torch/cuda/__init__.py, _lazy_init",
        Raised(
            "AssertionError",
            "Torch not compiled with CUDA enabled",
            "torch/cuda/__init__.py",
            "_lazy_init",
            'raise AssertionError("Torch not compiled with CUDA enabled")',
        ),
        versions=V1[:5],
    ),
)
