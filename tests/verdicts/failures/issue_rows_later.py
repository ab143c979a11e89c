"""A second batch of failures from issues; the answers were written before any look at what is said."""

from tests.verdicts.failures.rows import rows
from tests.verdicts.model import NAMED, OLD, V1, Failure, Phase, Raised, Said, Who, failure

NEW = ("0.25.1", "0.32.0", "0.33.0")
KERNELS_GONE = Said(
    "Failed to import Triton kernels. Please make sure your triton version is compatible. "
    "Error: No module named 'triton_kernels.routing'",
    Who.API,
    "ERROR",
    "gpt_oss_triton_kernels_moe.py:34",
)
"""Said by every start of some versions: the engine goes on without them."""
OLD_GPU = Said(
    "Cannot use FA version 2 is not supported due to FA2 is only supported on devices with compute "
    "capability >= 8",
    Who.CORE,
    "ERROR",
    "fa_utils.py:57",
)
"""Said on every T4 and V100: another attention backend is taken."""


def _after(
    said: Said, name: str, phase: Phase, causes: str, hold: bool | None, *chain: Raised
) -> Failure:
    words = chain[0].text.split("\n")[0][:60]
    source = f"{chain[0].file}, {chain[0].function}"
    return failure(
        name,
        phase,
        Who.CORE,
        causes,
        hold,
        words,
        source,
        *chain,
        said=(said,),
        versions=NAMED,
    )


FAILURES = (
    _after(
        KERNELS_GONE,
        "again-kernels-then-memory",
        Phase.LOADING,
        "cuda_out_of_memory",
        True,
        Raised(
            "torch.OutOfMemoryError",
            "CUDA out of memory. Tried to allocate 2.25 GiB. GPU 0 has a total capacity of 23.52 GiB of "
            "which 1.10 GiB is free. Of the allocated memory 21.81 GiB is allocated by PyTorch",
            "torch/utils/_device.py",
            "__torch_function__",
        ),
    ),
    _after(
        KERNELS_GONE,
        "again-kernels-then-key",
        Phase.LOADING,
        "checkpoint_mismatch",
        True,
        Raised(
            "KeyError",
            "'model.layers.3.mlp.experts.w13_bias'",
            "vllm/model_executor/models/gpt_oss.py",
            "load_weights",
        ),
    ),
    _after(
        KERNELS_GONE,
        "again-kernels-then-assert",
        Phase.PROFILING,
        "engine_bug",
        None,
        Raised("AssertionError", "", "vllm/model_executor/layers/fused_moe/layer.py", "forward"),
    ),
    _after(
        OLD_GPU,
        "again-old-gpu-then-memory",
        Phase.PROFILING,
        "cuda_out_of_memory",
        True,
        Raised(
            "torch.OutOfMemoryError",
            "CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 14.56 GiB of "
            "which 0.60 GiB is free. Of the allocated memory 13.61 GiB is allocated by PyTorch",
            "vllm/model_executor/models/qwen2.py",
            "forward",
        ),
    ),
    _after(
        OLD_GPU,
        "again-old-gpu-then-kv",
        Phase.PROFILING,
        "kv_cache_too_small",
        True,
        Raised(
            "ValueError",
            "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
            "initializing the engine.",
            "vllm/v1/core/kv_cache_utils.py",
            "check_enough_kv_cache_memory",
        ),
    ),
    *rows(
        Phase.LOADING,
        Who.WORKER,
        """
again-gguf-map | checkpoint_mismatch unsupported_model | wall | vllm/model_executor/model_loader/gguf_loader.py:_get_gguf_weights_map | RuntimeError: Failed to map GGUF parameters (18288): ['model.layers.0.mlp.experts.0.down_proj.weight']
again-gguf-reshape | weights_damaged checkpoint_mismatch unsupported_model | wall | gguf/gguf_reader.py:_build_tensors | ValueError: cannot reshape array of size 1835008 into shape (8192,4352)
again-block-gate | parallel_misfit | wall | vllm/model_executor/layers/quantization/fp8.py:create_weights | ValueError: The output_size of gate's and up's weight = 96 is not divisible by weight quantization block_n = 128.
again-uva | gpu_unsupported config_rejected | wall | vllm/v1/worker/gpu/buffer_utils.py:__init__ | RuntimeError: UVA is not available
again-device-id | parallel_misfit no_gpu | wall | torch/cuda/__init__.py:get_device_properties | AssertionError: Invalid device id
again-num-gpus | parallel_misfit no_gpu | wall | torch/cuda/__init__.py:_lazy_init | torch.cuda.DeferredCudaCallError: CUDA call failed lazily at initialization with error: device >= 0 && device < num_gpus INTERNAL ASSERT FAILED at "../aten/src/ATen/cuda/CUDAContext.cpp":50, please report a bug to PyTorch. device=1, num_gpus=1
again-unpack | engine_bug | either | vllm/model_executor/models/qwen3_vl.py:_process_image_input | ValueError: too many values to unpack (expected 2)
again-lora-model | lora_unusable | wall | vllm/v1/worker/lora_model_runner_mixin.py:load_lora_model | ValueError: QWenLMHeadModel does not support LoRA yet.
again-cublas-init | cuda_error cuda_out_of_memory | either | torch/nn/functional.py:linear | RuntimeError: CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`
again-server-socket | port_in_use zmq_port_in_use | passes | torch/distributed/rendezvous.py:_create_c10d_store | torch.distributed.DistNetworkError: The server socket has failed to listen on any local network address. port: 29500, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use
again-none-scale | engine_bug checkpoint_mismatch | either | vllm/model_executor/layers/quantization/modelopt.py:process_weights_after_loading | AttributeError: 'NoneType' object has no attribute 'max'
again-int8-sm120 | gpu_unsupported | wall | vllm/_custom_ops.py:cutlass_scaled_mm | RuntimeError: Int8 not supported on SM120. Use FP8 quantization instead, or run on older arch (SM < 100).
again-shape-slice | checkpoint_mismatch engine_bug unsupported_combination | either | vllm/model_executor/layers/linear.py:weight_loader_v2 | IndexError: tuple index out of range
again-ray-module | broken_install | wall | ray/_private/serialization.py:deserialize_objects | ray.exceptions.RaySystemError: System error: No module named 'vllm'
""",
        versions=NAMED,
    ),
    *rows(
        Phase.PROFILING,
        Who.WORKER,
        """
again-long-int | engine_bug unsupported_combination | either | vllm/model_executor/layers/fused_moe/deepep_ll_prepare_finalize.py:prepare | RuntimeError: expected scalar type Long but found Int
again-trtllm-topk | engine_bug unsupported_combination | either | flashinfer/fused_moe/core.py:trtllm_bf16_moe_op | RuntimeError: Check failed: (expert_indices.size(1) == args->top_k) is false: expert_indices dim1 must match top_k.
again-no-choices | compile_failed | wall | torch/_inductor/select_algorithm.py:__call__ | torch._inductor.exc.InductorError: LoweringException: NoValidChoicesError: No choices to select, please consider adding ATEN into max_autotune_gemm_backends config (defined in torch/_inductor/config.py) to allow at least one choice.
again-layout-name | broken_install | wall | vllm/model_executor/layers/quantization/utils/mxfp4_utils.py:_swizzle_mxfp4 | ImportError: cannot import name 'GFX950MXScaleLayout' from 'triton_kernels.tensor_details.layout' (/opt/venv/lib/python3.12/site-packages/triton_kernels/tensor_details/layout.py)
again-tilelang | engine_bug compile_failed compiler_missing gpu_unsupported unsupported_combination | either | tilelang/jit/kernel.py:_compile_and_create_adapter | AttributeError: 'NoneType' object has no attribute 'compile'
again-mm-tokens | engine_bug processor_failed config_rejected | either | vllm/model_executor/models/utils.py:_merge_multimodal_embeddings | ValueError: Attempted to assign 2530 multimodal tokens to 2528 placeholders
again-empty-max | engine_bug | either | vllm/v1/worker/gpu_model_runner.py:_dummy_run | ValueError: max() iterable argument is empty
again-dp-padding | engine_bug | either | vllm/v1/worker/dp_utils.py:coordinate_batch_across_dp | AssertionError: Microbatching sizes should be equal on all ranks
""",
        versions=NAMED,
    ),
    *rows(
        Phase.PROFILING,
        Who.CORE,
        """
again-check-eq | engine_bug config_rejected unsupported_combination | either | vllm/attention/backends/flashinfer.py:forward | RuntimeError: CHECK_EQ(paged_kv_indptr.size(0), batch_size + 1) failed. 1 vs 257
again-old-unpack | engine_bug | either | vllm/model_executor/models/minicpmv.py:forward | ValueError: not enough values to unpack (expected 3, got 2)
""",
        versions=OLD,
    ),
    *rows(
        Phase.WARM_UP,
        Who.CORE,
        """
again-hybrid-unify | config_rejected | wall | vllm/v1/core/kv_cache_utils.py:unify_hybrid_kv_cache_specs | ValueError: Hybrid KV cache manager is disabled but failed to convert the KV cache specs to one unified type.
again-dbo | config_rejected | wall | vllm/config/vllm.py:__post_init__ | AssertionError: Microbatching currently only supports the deepep_low_latency and deepep_high_throughput all2all backend. allgather_reducescatter is not supported. To fix use --all2all-backend=deepep_low_latency
again-block-hash | engine_bug | either | vllm/v1/core/kv_cache_coordinator.py:__init__ | AssertionError: block_size must be divisible by hash_block_size
""",
        versions=NEW,
    ),
    *rows(
        Phase.CONFIGURATION,
        Who.API,
        """
again-gguf-json | weights_damaged config_rejected unsupported_model | wall | transformers/configuration_utils.py:_get_config_dict | OSError: It looks like the config file at '/models/tinyllama.Q4_0.gguf' is not a valid JSON file.
again-infer-device | no_gpu | wall | vllm/config/device.py:__post_init__ | RuntimeError: Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG` to turn on verbose logging to help debug the issue.
again-symbol-500 | no_gpu driver_mismatch missing_kernels | wall | torch/cuda/__init__.py:_lazy_init | RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 500: named symbol not found
again-config-utf8 | weights_damaged config_rejected | wall | vllm/transformers_utils/config.py:get_config | UnicodeDecodeError: 'utf-8' codec can't decode byte 0x8b in position 1: invalid start byte
again-code-file | model_not_found file_missing | wall | transformers/utils/hub.py:cached_files | OSError: /models/deepseek does not appear to have a file named configuration_deepseek.py. Checkout 'https://huggingface.co//models/deepseek/tree/main' for available files.
again-extra-tokens | unsupported_model broken_install weights_damaged | wall | transformers/tokenization_utils_base.py:_set_model_specific_special_tokens | AttributeError: 'list' object has no attribute 'keys'
again-processor-dict | processor_failed unsupported_model broken_install | wall | transformers/processing_utils.py:_get_arguments_from_pretrained | TypeError: argument of type 'NoneType' is not iterable
again-env-int | config_rejected | wall | vllm/envs.py:__getattr__ | ValueError: invalid literal for int() with base 10: 'auto'
""",
    ),
    *rows(
        Phase.IMPORTS,
        Who.API,
        """
again-torch-cuda | broken_install | wall | vllm/platforms/cuda.py:<module> | ImportError: libtorch_cuda.so: cannot open shared object file: No such file or directory
again-pin-memory | broken_install engine_bug | wall | vllm/utils/torch_utils.py:<module> | AttributeError: partially initialized module 'vllm' has no attribute 'envs' (most likely due to a circular import)
""",
    ),
    *rows(
        Phase.SERVING,
        Who.CORE,
        """
again-offload-assert | engine_bug | passes | vllm/distributed/kv_transfer/kv_connector/v1/offloading/scheduler.py:update_state_after_alloc | AssertionError
again-ebnf | engine_bug | passes | xgrammar/grammar.py:from_ebnf | RuntimeError: /project/cpp/grammar_parser.cc:96: EBNF parser error at line 1, column 7: Expect element, but got character: ?
again-wsl-unknown | gpu_fault cuda_error driver_mismatch | either | vllm/v1/worker/gpu_model_runner.py:execute_model | torch.AcceleratorError: CUDA error: unknown error
again-triton-illegal | cuda_error | passes | triton/backends/nvidia/driver.py:__call__ | RuntimeError: Triton Error [CUDA]: an illegal memory access was encountered
again-spec-cpu | engine_bug | passes | vllm/v1/sample/rejection_sampler.py:forward | AssertionError: draft_probs is None or draft_probs.is_contiguous()
""",
        versions=V1,
    ),
    *rows(
        Phase.SERVING,
        Who.CORE,
        """
again-old-stack | engine_bug | passes | vllm/model_executor/layers/pooler.py:forward | RuntimeError: stack expects each tensor to be equal size, but got [3, 1] at entry 0 and [1, 1] at entry 1
again-old-pooler | engine_bug | passes | vllm/worker/pooling_model_runner.py:execute_model | AttributeError: 'Qwen2ForCausalLM' object has no attribute 'pooler'
""",
        versions=OLD,
    ),
)
