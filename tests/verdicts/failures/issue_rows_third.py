"""A third batch of failures from issues, and a fourth from memory; the answers were written before any look at what is said."""

from tests.verdicts.failures.rows import rows
from tests.verdicts.model import NAMED, V1, Phase, Who

FAILURES = (
    *rows(
        Phase.LOADING,
        Who.WORKER,
        """
third-is-sym | engine_bug checkpoint_mismatch config_rejected unsupported_combination | either | vllm/model_executor/layers/quantization/auto_round.py:apply_gptq_quant_layer | AttributeError: 'NoneType' object has no attribute 'is_sym'
third-embed-tokens | engine_bug unsupported_model | either | torch/nn/modules/module.py:__getattr__ | AttributeError: 'Qwen3VLMoeModel' object has no attribute 'language_model.embed_tokens'
third-gelu-quick | broken_install | wall | torch/_ops.py:__getattr__ | AttributeError: '_OpNamespace' '_C' object has no attribute 'gelu_quick'
third-shm-denied | permission_denied shm_too_small | wall | torch/multiprocessing/reductions.py:rebuild_storage_filename | RuntimeError: unable to open shared memory object </torch_1_2004494542_0> in read-write mode: Permission denied (13)
third-npu-function | driver_mismatch broken_install no_gpu | either | vllm_ascend/platform.py:set_device | RuntimeError: SetPrecisionMode:build/CMakeFiles/torch_npu.dir/compiler_depend.ts:155 NPU function error: at_npu::native::AclSetCompileopt, error code is 500001
third-ur-error | cuda_error no_gpu gpu_fault driver_mismatch | either | intel_extension_for_pytorch/nn/utils/_quantize_convert.py:apply_order | RuntimeError: UR error
third-init-kwarg | engine_bug broken_install unsupported_combination | either | vllm/model_executor/model_loader/utils.py:initialize_model | TypeError: Qwen2ForCausalLM.__init__() got an unexpected keyword argument 'vllm_config'
third-cuda-version | broken_install compiler_missing | wall | torch/utils/cpp_extension.py:_check_cuda_version | RuntimeError: The detected CUDA version (11.8) mismatches the version that was used to compile PyTorch (12.4). Please make sure to use the same CUDA versions.
third-pre-sharded | weights_damaged file_missing config_rejected | wall | vllm/model_executor/model_loader/sharded_state_loader.py:load_weights | ValueError: Could not find checkpoint files '/models/x/model-rank-1-part-*.safetensors', only pre-sharded checkpoints are currently supported!
third-index-json | weights_damaged | wall | vllm/model_executor/model_loader/weight_utils.py:filter_duplicate_safetensors_files | json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)
third-ascend-attr | engine_bug broken_install | either | vllm_ascend/worker/worker.py:load_model | AttributeError: 'NPUModelRunner' object has no attribute 'eplb_state'
third-ascend-quant | config_rejected unsupported_model | wall | vllm_ascend/quantization/quant_config.py:get_quant_method | NotImplementedError: Currently, vLLM Ascend only supports following quant types: ['W8A8']
third-resource-handle | cuda_error | either | vllm/v1/worker/gpu_worker.py:init_device | torch.AcceleratorError: CUDA error: invalid resource handle
third-pp-layers | engine_bug config_rejected parallel_misfit unsupported_combination | either | vllm/model_executor/models/utils.py:make_layers | ZeroDivisionError: integer division or modulo by zero
third-expert-key | checkpoint_mismatch | wall | vllm/model_executor/models/minimax_m2.py:load_weights | KeyError: 'layers.0.block_sparse_moe.experts.w13_weight_scale_inv'
third-scheme-none | engine_bug checkpoint_mismatch config_rejected unsupported_model unsupported_combination | either | compressed_tensors/quantization/quant_config.py:from_pretrained | AttributeError: 'NoneType' object has no attribute 'get'
""",
        versions=NAMED,
    ),
    *rows(
        Phase.PROFILING,
        Who.WORKER,
        """
third-activation | engine_bug | either | torch/nn/modules/module.py:__getattr__ | AttributeError: 'RMSNormGated' object has no attribute 'activation'
third-acl-attention | gpu_unsupported engine_bug cuda_error | either | vllm_ascend/attention/attention_v1.py:forward | RuntimeError: call aclnnPromptFlashAttentionV3 failed, detail:EZ1001: [PID: 9304] 2026-11-10-02:04:42 The attnMask shape is wrong
third-wsl-memory | cuda_out_of_memory | wall | vllm/model_executor/layers/fused_moe/layer.py:forward | torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.19 GiB. GPU 0 has a total capacity of 24.00 GiB of which 14.71 GiB is free. Of the allocated memory 7.89 GiB is allocated by PyTorch, and 12.54 MiB is reserved by PyTorch but unallocated.
third-synapse | cuda_error engine_bug gpu_unsupported | either | habana_frameworks/torch/core/step_closure.py:mark_step | RuntimeError: synNodeCreateWithId failed for node: batch_gemm with synStatus 26 [Generic failure]. .
third-cudnn-engine | cuda_error broken_install gpu_unsupported | either | torch/nn/modules/conv.py:_conv_forward | RuntimeError: GET was unable to find an engine to execute this computation
third-flex-mask | engine_bug compile_failed config_rejected unsupported_combination | either | torch/nn/attention/flex_attention.py:flex_attention | ValueError: Expect q and k/v to have the same head dimension but got q: 96 and k/v: 64
third-bmm-dims | engine_bug checkpoint_mismatch unsupported_combination | either | vllm/model_executor/layers/quantization/utils/w8a8_utils.py:apply | RuntimeError: self and mat2 must have the same dtype, but got Half and BFloat16
third-triton-shared | gpu_unsupported | wall | triton/runtime/jit.py:run | triton.runtime.errors.OutOfResources: out of resource: shared memory, Required: 131072, Hardware limit: 101376. Reducing block sizes or `num_stages` may help.
third-topk-none | engine_bug | either | vllm/model_executor/layers/fused_moe/fused_moe.py:fused_topk | UnboundLocalError: cannot access local variable 'topk_weights' where it is not associated with a value
third-tile-kernel | gpu_unsupported missing_kernels | wall | flash_mla/flash_mla_interface.py:flash_mla_with_kvcache | RuntimeError: Dense decode MLA is only supported on SM90a architecture
""",
        versions=NAMED,
    ),
    *rows(
        Phase.WARM_UP,
        Who.WORKER,
        """
third-capture | cuda_graph_failed cuda_error | either | torch/cuda/graphs.py:capture_end | RuntimeError: CUDA error: operation not permitted when stream is capturing
third-sizes | engine_bug config_rejected | either | vllm/v1/cudagraph_dispatcher.py:initialize_cudagraph_keys | AssertionError: max_cudagraph_capture_size should be positive
""",
        versions=NAMED,
    ),
    *rows(
        Phase.CONFIGURATION,
        Who.API,
        """
third-jetson-backend | broken_install | wall | torch/_ops.py:__call__ | NotImplementedError: Could not run 'aten::empty.memory_format' with arguments from the 'CUDA' backend. This could be because the operator doesn't exist for this backend
third-mm-limit | config_rejected | wall | vllm/engine/arg_utils.py:create_model_config | ValueError: `limit_mm_per_prompt` is only supported for multimodal models.
third-theta | broken_install unsupported_model engine_bug | wall | transformers/configuration_utils.py:__getattribute__ | AttributeError: 'Qwen2Config' object has no attribute 'rope_theta'
third-tokenizer-class | unsupported_model | wall | transformers/models/auto/tokenization_auto.py:from_pretrained | ValueError: Tokenizer class TokenizersBackend does not exist or is not currently imported.
third-vocab-none | weights_damaged unsupported_model file_missing | wall | transformers/models/qwen2/tokenization_qwen2.py:__init__ | TypeError: expected str, bytes or os.PathLike object, not NoneType
third-hf-overrides | config_rejected unknown_flag | wall | vllm/transformers_utils/config.py:get_config | AttributeError: 'str' object has no attribute 'items'
third-uvloop | broken_install engine_bug | wall | uvloop/__init__.py:run | TypeError: run() got an unexpected keyword argument 'loop_factory'
third-cors | config_rejected unknown_flag | wall | vllm/entrypoints/openai/api_server.py:build_app | ValueError: Invalid middleware my.module.Middleware. Must be a function or a class.
""",
        versions=V1,
    ),
    *rows(
        Phase.SERVING,
        Who.CORE,
        """
third-serve-size | engine_bug | passes | vllm/model_executor/models/qwen3_next.py:forward | AttributeError: 'NoneType' object has no attribute 'size'
third-rpc | worker_timeout | passes | vllm/v1/executor/multiproc_executor.py:collective_rpc | TimeoutError: RPC call to sample_tokens timed out.
third-mamba-slot | engine_bug | passes | vllm/v1/core/single_type_kv_cache_manager.py:allocate_new_blocks | AssertionError
third-token-id | engine_bug cuda_error | passes | vllm/v1/sample/logits_processor/builtin.py:apply | IndexError: index -1 is out of bounds for dimension 1 with size 151936
""",
        versions=V1,
    ),
    *rows(
        Phase.LOADING,
        Who.WORKER,
        """
fourth-nccl-usage | nccl_failure | passes | vllm/distributed/device_communicators/pynccl_wrapper.py:NCCL_CHECK | RuntimeError: NCCL error: invalid usage (run with NCCL_DEBUG=WARN for details)
fourth-wna16 | gpu_unsupported config_rejected parallel_misfit checkpoint_mismatch | wall | vllm/model_executor/kernels/linear/__init__.py:choose_mp_linear_kernel | ValueError: Failed to find a kernel that can implement the WNA16 linear layer. Reasons: MacheteLinearKernel requires capability 90, current compute capability is 86
fourth-fa-version | gpu_unsupported config_rejected | wall | vllm/v1/attention/backends/flash_attn.py:__init__ | ValueError: Unsupported FA version: None
fourth-meta-tensor | engine_bug checkpoint_mismatch unsupported_combination | either | torch/nn/modules/module.py:convert | NotImplementedError: Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty() instead of torch.nn.Module.to() when moving module from meta to a different device.
fourth-quant-keys | config_rejected unsupported_model checkpoint_mismatch weights_damaged | wall | vllm/model_executor/layers/quantization/base_config.py:get_from_keys | ValueError: Cannot find any of ['bits', 'w_bit'] in the model's quantization config.
fourth-invalid-config | cuda_error | either | vllm/model_executor/layers/quantization/awq.py:apply | RuntimeError: CUDA error: invalid configuration argument
fourth-kfd | permission_denied no_gpu | wall | torch/cuda/__init__.py:_lazy_init | PermissionError: [Errno 13] Permission denied: '/dev/kfd'
fourth-many-files | limit_reached | wall | zmq/sugar/context.py:socket | zmq.error.ZMQError: Too many open files
fourth-primitive | cpu_unsupported engine_bug cuda_error config_rejected unsupported_combination | either | vllm/_custom_ops.py:onednn_mm | RuntimeError: could not create a primitive descriptor for the matmul primitive. Run workload with environment variable ONEDNN_VERBOSE=all to get additional diagnostic information.
fourth-pickle | engine_bug | either | multiprocessing/reduction.py:dump | AttributeError: Can't pickle local object 'make_model.<locals>.hook'
fourth-lora-dim | lora_unusable | wall | vllm/lora/model_manager.py:_create_merged_loras_inplace | ValueError: Adapter has LoRA weights for vision_tower which this model does not have
fourth-bnb-tp | config_rejected parallel_misfit unsupported_model | wall | vllm/model_executor/model_loader/bitsandbytes_loader.py:_load_weights | ValueError: Prequant BitsAndBytes models with tensor parallelism is not supported. Please try with pipeline parallelism.
""",
        versions=NAMED,
    ),
    *rows(
        Phase.CONFIGURATION,
        Who.API,
        """
fourth-vocab-file | weights_damaged file_missing | wall | transformers/tokenization_utils_base.py:_from_pretrained | OSError: Unable to load vocabulary from file. Please check that the provided vocabulary is accessible and not corrupted.
fourth-max-local | parallel_misfit | wall | vllm/executor/multiproc_gpu_executor.py:_init_executor | AssertionError: please ensure that world_size (2) is less than than max local gpu count (1)
fourth-range | hub_unreachable | passes | huggingface_hub/utils/_http.py:hf_raise_for_status | huggingface_hub.errors.HfHubHTTPError: 416 Client Error: Requested Range Not Satisfiable for url: https://cas-bridge.xethub.hf.co/xet/ab
fourth-context-set | engine_bug main_guard_missing | either | multiprocessing/context.py:set_start_method | RuntimeError: context has already been set
fourth-rope-factor | unsupported_model config_rejected | wall | transformers/modeling_rope_utils.py:_check_received_keys | KeyError: "Missing required keys in `rope_scaling` for 'rope_type'='yarn': {'factor'}"
fourth-ssl-cert | file_missing config_rejected permission_denied | wall | ssl.py:load_cert_chain | FileNotFoundError: [Errno 2] No such file or directory
fourth-mm-processor | processor_failed engine_bug broken_install | either | transformers/models/qwen2_vl/image_processing_qwen2_vl.py:__init__ | ValueError: size must contain 'shortest_edge' and 'longest_edge' keys.
fourth-task | config_rejected unknown_flag | wall | vllm/config/model.py:_resolve_task | ValueError: This model does not support the 'score' task. Supported tasks: {'generate'}
""",
        versions=V1,
    ),
    *rows(
        Phase.IMPORTS,
        Who.API,
        """
fourth-register-fake | broken_install | wall | vllm/utils/torch_utils.py:<module> | AttributeError: module 'torch.library' has no attribute 'register_fake'
fourth-resource | broken_install | wall | vllm/utils/system_utils.py:<module> | ModuleNotFoundError: No module named 'resource'
fourth-op-twice | broken_install engine_bug | either | torch/library.py:define | RuntimeError: Tried to register an operator (vllm::unified_attention) with the same name and overload name multiple times.
fourth-numpy-core | broken_install | wall | pandas/_libs/interval.pyx:<module> | ValueError: numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header, got 88 from PyObject
""",
        versions=V1,
    ),
)
