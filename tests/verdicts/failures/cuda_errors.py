"""CUDA's errors (cudaGetErrorString) and those of its libraries, in each phase that has them."""

from tests.verdicts.failures.rows import rows
from tests.verdicts.model import Phase, Who

TORCH = (
    "\nSearch for `SYMBOL' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html"
    " for more information.\nCUDA kernel errors might be asynchronously reported at some other API"
    " call, so the stacktrace below might be incorrect.\nFor debugging consider passing"
    " CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n"
)
"""What torch adds since 2.8. Source: c10/cuda/CUDAException.cpp."""

FAILURES = (
    *rows(
        Phase.INITIALIZATION,
        Who.WORKER,
        """
cuda-devices-busy | gpu_busy | either | torch/cuda/__init__.py:set_device cudaErrorDevicesUnavailable | torch.AcceleratorError: CUDA error: CUDA-capable device(s) is/are busy or unavailable
cuda-thread-exclusive | gpu_busy | either | torch/cuda/__init__.py:set_device cudaErrorDeviceAlreadyInUse | torch.AcceleratorError: CUDA error: exclusive-thread device already in use by a different thread
cuda-initialization-error | cuda_error fork_cuda driver_mismatch | either | torch/cuda/__init__.py:set_device cudaErrorInitializationError | torch.AcceleratorError: CUDA error: initialization error
cuda-needs-newer-driver | driver_mismatch | wall | vllm/v1/worker/gpu_worker.py:init_device cudaErrorCallRequiresNewerDriver | torch.AcceleratorError: CUDA error: API call is not supported in the installed CUDA driver
cuda-no-grid-licence | gpu_unlicensed driver_mismatch | wall | torch/cuda/__init__.py:set_device cudaErrorDeviceNotLicensed | torch.AcceleratorError: CUDA error: device doesn't have valid Grid license
cuda-mps-not-there | mps_failed | either | torch/cuda/__init__.py:set_device cudaErrorMpsConnectionFailed | torch.AcceleratorError: CUDA error: MPS client failed to connect to the MPS control daemon or the MPS server
cuda-mps-recovers | mps_failed | either | torch/cuda/__init__.py:set_device cudaErrorMpsServerNotReady | torch.AcceleratorError: CUDA error: MPS server is not ready to accept new MPS client requests
cuda-mps-too-many | mps_failed | either | torch/cuda/__init__.py:set_device cudaErrorMpsMaxClientsReached | torch.AcceleratorError: CUDA error: the hardware resources required to create MPS client have been exhausted
cuda-no-device-in-worker | no_gpu | wall | torch/cuda/__init__.py:set_device cudaErrorNoDevice | torch.AcceleratorError: CUDA error: no CUDA-capable device is detected
cuda-unknown-at-start | gpu_fault driver_mismatch | either | torch/cuda/__init__.py:set_device cudaErrorUnknown | torch.AcceleratorError: CUDA error: unknown error
cuda-os-call-failed | driver_mismatch no_gpu | either | torch/cuda/__init__.py:set_device cudaErrorOperatingSystem | torch.AcceleratorError: CUDA error: OS call failed or operation not supported on this OS
""",
        after=TORCH,
    ),
    *rows(
        Phase.LOADING,
        Who.WORKER,
        """
cuda-kernel-image-invalid | missing_kernels driver_mismatch gpu_unsupported | wall | vllm/_custom_ops.py:gptq_marlin_repack cudaErrorInvalidKernelImage | torch.AcceleratorError: CUDA error: device kernel image is invalid
cuda-ptx-jit-failed | missing_kernels driver_mismatch gpu_unsupported | wall | vllm/_custom_ops.py:awq_marlin_repack cudaErrorInvalidPtx | torch.AcceleratorError: CUDA error: a PTX JIT compilation failed
cuda-ptx-compiler-missing | driver_mismatch | wall | vllm/_custom_ops.py:scaled_fp8_quant cudaErrorJitCompilerNotFound | torch.AcceleratorError: CUDA error: PTX JIT compiler library not found
cuda-ptx-jit-disabled | missing_kernels gpu_unsupported config_rejected | wall | vllm/_custom_ops.py:scaled_fp8_quant cudaErrorJitCompilationDisabled | torch.AcceleratorError: CUDA error: PTX JIT compilation was disabled
cuda-shared-object-init | missing_kernels driver_mismatch broken_install | wall | vllm/_custom_ops.py:cutlass_scaled_mm cudaErrorSharedObjectInitFailed | torch.AcceleratorError: CUDA error: shared object initialization failed
cuda-named-symbol | missing_kernels driver_mismatch broken_install | wall | vllm/_custom_ops.py:cutlass_scaled_mm cudaErrorSymbolNotFound | torch.AcceleratorError: CUDA error: named symbol not found
cuda-no-peer-access | custom_all_reduce gpu_unsupported | wall | vllm/distributed/device_communicators/symm_mem.py:rendezvous cudaErrorPeerAccessUnsupported | torch.AcceleratorError: CUDA error: peer access is not supported between these two devices
cuda-not-supported-here | gpu_unsupported custom_all_reduce driver_mismatch | either | vllm/device_allocator/cumem.py:create_and_map cudaErrorNotSupported | torch.AcceleratorError: CUDA error: operation not supported
""",
        after=TORCH,
    ),
    *rows(
        Phase.PROFILING,
        Who.WORKER,
        """
cuda-too-many-resources | gpu_unsupported engine_bug | either | vllm/_custom_ops.py:rms_norm cudaErrorLaunchOutOfResources | torch.AcceleratorError: CUDA error: too many resources requested for launch
cuda-invalid-configuration | engine_bug cuda_error gpu_unsupported | either | vllm/_custom_ops.py:moe_align_block_size cudaErrorInvalidConfiguration | torch.AcceleratorError: CUDA error: invalid configuration argument
cuda-cooperative-too-large | engine_bug cuda_error gpu_unsupported | either | vllm/_custom_ops.py:fused_add_rms_norm cudaErrorCooperativeLaunchTooLarge | torch.AcceleratorError: CUDA error: too many blocks in cooperative launch
cuda-cluster-size | gpu_unsupported engine_bug cuda_error | either | flashinfer/fused_moe/core.py:forward cudaErrorInvalidClusterSize | torch.AcceleratorError: CUDA error: cluster misconfiguration
cuda-assert-at-profile | cuda_error engine_bug checkpoint_mismatch | either | vllm/model_executor/layers/vocab_parallel_embedding.py:forward cudaErrorAssert | torch.AcceleratorError: CUDA error: device-side assert triggered
""",
        after=TORCH,
    ),
    *rows(
        Phase.WARM_UP,
        Who.WORKER,
        """
cuda-capture-not-permitted | cuda_graph_failed | wall | vllm/v1/worker/gpu_model_runner.py:capture_model cudaErrorStreamCaptureUnsupported | torch.AcceleratorError: CUDA error: operation not permitted when stream is capturing
cuda-capture-invalidated | cuda_graph_failed | wall | torch/cuda/graphs.py:capture_end cudaErrorStreamCaptureInvalidated | torch.AcceleratorError: CUDA error: operation failed due to a previous error during capture
cuda-capture-legacy-stream | cuda_graph_failed | wall | torch/cuda/graphs.py:capture_end cudaErrorStreamCaptureImplicit | torch.AcceleratorError: CUDA error: operation would make the legacy stream depend on a capturing blocking stream
cuda-capture-memory | cuda_out_of_memory | wall | torch/cuda/graphs.py:capture_end cudaErrorMemoryAllocation | torch.AcceleratorError: CUDA error: out of memory
""",
        after=TORCH,
    ),
    *rows(
        Phase.SERVING,
        Who.CORE,
        """
cuda-nvlink-uncorrectable | gpu_fault | wall | vllm/v1/worker/gpu_model_runner.py:execute_model cudaErrorNvlinkUncorrectable | torch.AcceleratorError: CUDA error: uncorrectable NVLink error detected during the execution
cuda-contained | gpu_fault | wall | vllm/v1/worker/gpu_model_runner.py:execute_model cudaErrorContained | torch.AcceleratorError: CUDA error: Invalid access of peer GPU memory over nvlink or a hardware error
cuda-hardware-stack | gpu_fault cuda_error | either | vllm/v1/worker/gpu_model_runner.py:execute_model cudaErrorHardwareStackError | torch.AcceleratorError: CUDA error: hardware stack error
cuda-launch-timeout | cuda_error | passes | vllm/v1/worker/gpu_model_runner.py:execute_model cudaErrorLaunchTimeout | torch.AcceleratorError: CUDA error: the launch timed out and was terminated
cuda-illegal-instruction | cuda_error | passes | vllm/v1/worker/gpu_model_runner.py:execute_model cudaErrorIllegalInstruction | torch.AcceleratorError: CUDA error: an illegal instruction was encountered
cuda-misaligned | cuda_error | passes | vllm/v1/worker/gpu_model_runner.py:execute_model cudaErrorMisalignedAddress | torch.AcceleratorError: CUDA error: misaligned address
cuda-invalid-pc | cuda_error | passes | vllm/v1/worker/gpu_model_runner.py:execute_model cudaErrorInvalidPc | torch.AcceleratorError: CUDA error: invalid program counter
cuda-context-destroyed | cuda_error | passes | vllm/v1/worker/gpu_model_runner.py:execute_model cudaErrorContextIsDestroyed | torch.AcceleratorError: CUDA error: context is destroyed
cuda-mps-terminated | mps_failed cuda_error | passes | vllm/v1/worker/gpu_model_runner.py:execute_model cudaErrorMpsClientTerminated | torch.AcceleratorError: CUDA error: the MPS client has been terminated by the server
""",
        after=TORCH,
    ),
    *rows(
        Phase.IMPORTS,
        Who.API,
        """
device-count-304 | driver_mismatch no_gpu | wall | torch/cuda/__init__.py:_lazy_init | RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 304: OS call failed or operation not supported on this OS
device-count-36 | driver_mismatch | wall | torch/cuda/__init__.py:_lazy_init | RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 36: API call is not supported in the installed CUDA driver
device-count-3 | driver_mismatch no_gpu cuda_error fork_cuda | either | torch/cuda/__init__.py:_lazy_init | RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 3: initialization error
device-count-2 | cuda_out_of_memory vram_held | either | torch/cuda/__init__.py:_lazy_init | RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 2: out of memory
device-count-805 | mps_failed | either | torch/cuda/__init__.py:_lazy_init | RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 805: MPS client failed to connect to the MPS control daemon or the MPS server
nvml-no-permission | permission_denied driver_mismatch no_gpu | wall | vllm/third_party/pynvml.py:_nvmlCheckReturn | vllm.third_party.pynvml.NVMLError_NoPermission: Insufficient Permissions
nvml-lost | gpu_fault | wall | vllm/third_party/pynvml.py:_nvmlCheckReturn | vllm.third_party.pynvml.NVMLError_GpuIsLost: GPU is lost
nvml-unknown | driver_mismatch no_gpu gpu_fault | either | vllm/third_party/pynvml.py:_nvmlCheckReturn | vllm.third_party.pynvml.NVMLError_Unknown: Unknown Error
nvml-invalid-argument | no_gpu config_rejected | wall | vllm/third_party/pynvml.py:_nvmlCheckReturn | vllm.third_party.pynvml.NVMLError_InvalidArgument: Invalid Argument
""",
    ),
    *rows(
        Phase.PROFILING,
        Who.WORKER,
        """
cublas-not-initialized | cuda_out_of_memory broken_install cuda_error | either | vllm/model_executor/layers/utils.py:default_unquantized_gemm | RuntimeError: CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`
cublas-invalid-value | broken_install cuda_error | either | vllm/model_executor/layers/utils.py:default_unquantized_gemm | RuntimeError: CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasGemmEx( handle, opa, opb, m, n, k, &falpha, a, CUDA_R_16BF, lda, b, CUDA_R_16BF, ldb, &fbeta, c, CUDA_R_16BF, ldc, compute_type, CUBLAS_GEMM_DEFAULT_TENSOR_OP)`
cublas-not-supported | gpu_unsupported cuda_error | either | vllm/_custom_ops.py:cutlass_scaled_mm | RuntimeError: CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasLtMatmulAlgoGetHeuristic( ltHandle, computeDesc.descriptor(), Adesc.descriptor(), Bdesc.descriptor(), Cdesc.descriptor(), Ddesc.descriptor(), preference.descriptor(), 1, &heuristicResult, &returnedResult)`
cublas-arch-mismatch | gpu_unsupported missing_kernels cuda_error | either | vllm/model_executor/layers/utils.py:default_unquantized_gemm | RuntimeError: CUDA error: CUBLAS_STATUS_ARCH_MISMATCH when calling `cublasGemmEx`
cudnn-handle | cuda_out_of_memory broken_install driver_mismatch cuda_error | either | torch/nn/modules/conv.py:_conv_forward | RuntimeError: cuDNN error: CUDNN_STATUS_NOT_INITIALIZED
cudnn-runtime-version | broken_install | wall | torch/backends/cudnn/__init__.py:_init | RuntimeError: cuDNN version incompatibility: PyTorch was compiled  against (9, 10, 2) but found runtime version (9, 1, 0). PyTorch already comes with bundled cuDNN. One option to resolving this error is to ensure PyTorch can find the bundled cuDNN. Looks like your LD_LIBRARY_PATH contains incompatible version of cudnn.
cudnn-no-engine | broken_install gpu_unsupported cuda_error | either | torch/nn/modules/conv.py:_conv_forward | RuntimeError: GET was unable to find an engine to execute this computation
cudnn-sublibrary-load | broken_install | wall | torch/nn/modules/conv.py:_conv_forward | RuntimeError: cuDNN error: CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED
triton-kernel-image | missing_kernels driver_mismatch gpu_unsupported | wall | triton/compiler/compiler.py:_init_handles | RuntimeError: Triton Error [CUDA]: device kernel image is invalid
triton-ptx | driver_mismatch missing_kernels gpu_unsupported | wall | triton/compiler/compiler.py:_init_handles | RuntimeError: Triton Error [CUDA]: the provided PTX was compiled with an unsupported toolchain.
triton-no-binary | gpu_unsupported missing_kernels | wall | triton/compiler/compiler.py:_init_handles | RuntimeError: Triton Error [CUDA]: no kernel image is available for execution on the device
triton-illegal-address | cuda_error | either | triton/runtime/jit.py:run | RuntimeError: Triton Error [CUDA]: an illegal memory access was encountered
triton-fp8-type | gpu_unsupported | wall | triton/compiler/code_generator.py:ast_to_ttir | triton.compiler.errors.CompilationError: at 47:20:\\n        k_load = tl.load(K + off_k)\\n        k = k_load.to(tl.float8e4nv)\\n                    ^\\nValueError("type fp8e4nv not supported in this architecture. The supported fp8 dtypes are ('fp8e4b15', 'fp8e5')")
""",
    ),
    *rows(
        Phase.INITIALIZATION,
        Who.WORKER,
        """
nccl-no-interface | nccl_failure dist_unreachable gloo_loopback config_rejected | either | vllm/distributed/device_communicators/pynccl_wrapper.py:NCCL_CHECK | RuntimeError: NCCL error: internal error - please report this issue to the NCCL developers. Last error: Bootstrap : no socket interface found
nccl-driver-call | driver_mismatch nccl_failure | either | torch/distributed/distributed_c10d.py:barrier | torch.distributed.DistBackendError: NCCL error in: /pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:77, unhandled cuda error (run with NCCL_DEBUG=INFO for details), NCCL version 2.27.5\\nncclUnhandledCudaError: Call to CUDA function failed.\\nLast error:\\nCuda failure 36 'API call is not supported in the installed CUDA driver'
nccl-peer-closed | peer_lost nccl_failure | passes | torch/distributed/distributed_c10d.py:all_reduce | torch.distributed.DistBackendError: NCCL error in: /pytorch/torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:3384, remote process exited or there was a network error, NCCL version 2.27.5\\nncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.\\nLast error:\\nsocketProgress: Connection closed by remote peer node7<40122>
nccl-two-ranks-one-gpu | parallel_misfit | wall | torch/distributed/distributed_c10d.py:barrier | torch.distributed.DistBackendError: NCCL error in: /pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:94, invalid usage (run with NCCL_DEBUG=WARN for details), NCCL version 2.26.2\\nncclInvalidUsage: This usually reflects invalid usage of NCCL library.\\nLast error:\\nDuplicate GPU detected : rank 1 and rank 0 both on CUDA device 1a000
""",
    ),
)
