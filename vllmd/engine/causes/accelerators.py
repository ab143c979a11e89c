"""What the libraries of each maker's accelerators print of the same thing: one table of synonyms.

NVIDIA (CUDA, NCCL), AMD (HIP, RCCL), Intel (SYCL, oneCCL), Huawei (CANN, HCCL), Habana (Synapse),
Google (XLA), AWS (Neuron). Each sign has the file that prints it.
"""

from collections.abc import Mapping

OUT_OF_MEMORY: Mapping[str, str] = {
    r"\b[A-Z]{3,5} out of memory": (
        "torch: c10/cuda/CUDACachingAllocator.cpp, c10/xpu; torch_npu: NPUCachingAllocator.cpp"
    ),
    r"torch\.(?:cuda\.)?OutOfMemoryError": "torch: torch/csrc/Exceptions.cpp",
    r"(?:CUDA|HIP) (?:driver )?error: out of memory": "torch: c10/cuda/CUDAException.cpp",
    r"CUDA_ERROR_OUT_OF_MEMORY|Error \[CUDA\]: out of memory": "triton; CUDA's driver",
    r"CUBLAS_STATUS_ALLOC_FAILED": "torch: aten/src/ATen/cuda/CublasHandlePool.cpp",
    r"Cuda failure \d+ 'out of memory'": "NCCL: src/include/checks.h",
    r"Error 2: out of memory": "torch: c10/cuda/CUDAFunctions.cpp",
    r"RESOURCE_EXHAUSTED\b.*(?:[Oo]ut of memory|\bhbm\b|Attempting to (?:reserve|allocate))"
    r"|[Rr]an out of memory in memory space hbm": "XLA: xla/service, of TPUs",
    r"UR_RESULT_ERROR_OUT_OF_(?:DEVICE_MEMORY|HOST_MEMORY)": "SYCL: unified-runtime",
    r"\bnrt_tensor_allocate status=4\b|NRT_RESOURCE\b": "libneuronxla: nrt, of AWS Neuron",
    r"\bEL0004\b|ACL_ERROR_RT_MEMORY_ALLOCATION": "CANN: acl/error_codes",
}
CALL_FAILED: Mapping[str, str] = {
    r"(?:CUDA|HIP) (?:driver )?error: |Error \[CUDA\]: ": "torch: c10/cuda/CUDAException.cpp",
    r"CUBLAS_STATUS_\w+|CUDNN_STATUS_\w+": "torch: aten/src/ATen/cuda/CUDABlas.cpp",
    r"\bUR error|UR_RESULT_ERROR|PI_ERROR_": "torch for Intel's GPUs: SYCL",
    r"\bsynStatus\b": "torch for Gaudi",
    r"call aclnn\w+ failed|NPU function error: aclrt|PTA call acl api failed|\bEZ9999: Inner Error"
    r"|\bACL \w+ \w+ failed, error code": ("torch_npu: csrc/core/npu/NPUException.h, for Ascend"),
    r"hipError[A-Z]\w+|MIOpen Error|rocBLAS error|miopenStatus": "ROCm's libraries",
    r"unable to find an engine to execute this": "torch: aten/src/ATen/native/cudnn",
    r"Failed to execute the model status=\d+": "torch_neuronx, of AWS Neuron",
    r"^CUDA error \(\S+:\d+\): ": "xformers, flash_attn: csrc",
    r"HSA_STATUS_ERROR|Memory access fault by GPU": "ROCm: rocr-runtime",
    r"cudaError[A-Z]\w+|unspecified launch failure|an illegal memory access was encountered": (
        "CUDA: cudaGetErrorString; FlashInfer: csrc"
    ),
}
NOT_TALKED: Mapping[str, str] = {
    r"Watchdog caught collective operation timeout": "torch: ProcessGroupNCCL.cpp",
    r"NCCL error|NCCL Error \d": "vllm: pynccl_wrapper.py; torch: NCCLUtils.cpp",
    r"nccl(?:System|UnhandledCuda|Remote|Internal|InvalidUsage|InvalidArgument)Error": (
        "torch: NCCLUtils.hpp"
    ),
    r"NCCL communicator was aborted|RCCL error": "torch: ProcessGroupNCCL.cpp",
    r"NCCL.*watchdog got stuck|Heartbeat monitor timed out": "torch: ProcessGroupNCCL.cpp",
    r"\boneCCL: |\|CCL_ERROR\|": "oneCCL: src/common, for Intel's GPUs and CPUs",
    r"call hccl api failed|HCCL function error": "torch_npu: csrc/distributed, for Ascend",
    r"\b[MC]N?CCL [Ee]rror": "MCCL, CNCL: what others made after NCCL",
}
NOT_OF_THE_CODE = r"[Oo]ut ?[Oo]f ?[Mm]emory|RESOURCE_EXHAUSTED|(?:CUDA|HIP|[NR]CCL|HSA|UR) error"
"""Words of memory or of a device that failed: whoever raised it, it tells of no setting or code."""
