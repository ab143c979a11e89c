"""Failures from issues of vLLM and of projects around it; the answers were written before any look."""

from tests.verdicts.failures.rows import rows
from tests.verdicts.model import NAMED, OLD, V1, Phase, Who

LATER = ("0.19.0", "0.25.1", "0.32.0")

FAILURES = (
    *rows(
        Phase.LOADING,
        Who.WORKER,
        """
issue-embed-tokens | checkpoint_mismatch | wall | vllm/model_executor/models/utils.py:_load_module | ValueError: There is no module or parameter named 'embed_tokens' in LlamaForCausalLM
issue-bnb-moe | config_rejected unsupported_model | wall | vllm/model_executor/model_loader/bitsandbytes_loader.py:_verify_model_compatibility | AttributeError: MoE Model GptOssForCausalLM does not support BitsAndBytes quantization yet. Ensure this model has 'get_expert_mapping' method.
issue-bnb-mamba | config_rejected unsupported_model | wall | vllm/model_executor/model_loader/bitsandbytes_loader.py:_verify_model_compatibility | AttributeError: Model Mamba2ForCausalLM does not support BitsAndBytes quantization yet. No 'packed_modules_mapping' found.
issue-drafter-head | engine_bug checkpoint_mismatch unsupported_combination | either | vllm/v1/spec_decode/eagle.py:load_model | AttributeError: 'EagleLlama4ForCausalLM' object has no attribute 'lm_head'
issue-vit-qkv | checkpoint_mismatch | wall | vllm/model_executor/models/glm4_1v.py:load_weights | KeyError: 'blocks.0.attn.qkv.weight'
issue-act-scales | checkpoint_mismatch | wall | vllm/model_executor/models/llama4.py:load_moe_expert_weights | KeyError: 'layers.10.feed_forward.experts.0.activation_fn.scales'
issue-linear-weight | checkpoint_mismatch config_rejected engine_bug unsupported_combination | either | vllm/model_executor/models/qwen2_moe.py:pack_params | AttributeError: 'MergedColumnParallelLinear' object has no attribute 'weight'. Did you mean: 'qweight'?
issue-vgpu | gpu_unsupported cuda_error | either | torch/cuda/memory.py:mem_get_info | RuntimeError: CUDA error: operation not supported\\nCUDA kernel errors might be asynchronously reported at some other API call
issue-lora-missing | lora_unusable | wall | vllm/lora/worker_manager.py:_load_adapter | ValueError: Loading lora table failed: No adapter found for /data/adapters/table
issue-moe-map | checkpoint_mismatch engine_bug | either | vllm/model_executor/models/qwen3_vl_moe.py:load_fused_expert_weights | TypeError: 'NoneType' object is not callable
""",
        versions=NAMED,
    ),
    *rows(
        Phase.LOADING,
        Who.CORE,
        """
issue-old-absmax | checkpoint_mismatch | wall | vllm/model_executor/models/llama.py:load_weights | KeyError: 'layers.0.mlp.down_proj.weight.absmax'
issue-old-w-scale | checkpoint_mismatch | wall | vllm/model_executor/models/qwen2.py:load_weights | KeyError: 'layers.0.mlp.down_proj.weight_scale'
issue-old-bnb-assert | checkpoint_mismatch | wall | vllm/model_executor/layers/linear.py:weight_loader | AssertionError
issue-old-cpu-worker | engine_bug config_rejected unsupported_combination | either | vllm/worker/worker_base.py:init_worker | TypeError: Worker.__init__() got an unexpected keyword argument 'kv_cache_dtype'
issue-old-deq-scale | checkpoint_mismatch | wall | vllm/model_executor/models/llama.py:load_weights | KeyError: 'layers.0.mlp.gate_up_proj.deq_scale'
""",
        versions=OLD,
    ),
    *rows(
        Phase.PROFILING,
        Who.WORKER,
        """
issue-no-archs | gpu_unsupported | wall | flashinfer/compilation_context.py:get_nvcc_flags_list | RuntimeError: No supported CUDA architectures found for major versions [10].
issue-ptx-gather | gpu_unsupported compiler_missing | wall | triton/backends/nvidia/compiler.py:make_cubin | triton.runtime.errors.PTXASError: PTXAS error: Internal Triton PTX codegen error\\n`ptxas` stderr:\\nptxas /tmp/tmppg3i0awm.ptx, line 818; error   : Feature '.tile::gather4 with destination state space as .shared::cluster' not supported on .target 'sm_120a'\\nptxas fatal   : Ptx assembly aborted due to errors
issue-deepgemm-arch | gpu_unsupported | wall | vllm/utils/deep_gemm.py:fp8_paged_mqa_logits | RuntimeError: Assertion error (csrc/apis/attention.hpp:211): Unsupported architecture
issue-nvfp4-kernel | gpu_unsupported missing_kernels | wall | vllm/_custom_ops.py:scaled_fp4_quant | NotImplementedError: No compiled nvfp4 quantization kernel
issue-view-size | engine_bug checkpoint_mismatch config_rejected unsupported_combination | either | vllm/model_executor/models/glm4.py:forward | RuntimeError: shape '[7447, -1, 128]' is invalid for input of size 137191424
issue-mm-attribute | engine_bug processor_failed checkpoint_mismatch unsupported_combination | either | vllm/model_executor/models/qwen3_5.py:embed_multimodal | AttributeError: 'Qwen3_5VisionTransformer' object has no attribute 'deepstack_visual_indexes'
issue-triton-key | broken_install compile_failed | wall | torch/_dynamo/output_graph.py:_call_user_compiler | torch._dynamo.exc.BackendCompilerFailed: backend='inductor' raised:\\nImportError: cannot import name 'triton_key' from 'triton.compiler.compiler' (/opt/conda/lib/python3.10/site-packages/triton/compiler/compiler.py)\\n\\nSet TORCH_LOGS="+dynamo" and TORCHDYNAMO_VERBOSE=1 for more information
issue-no-triton | broken_install compile_failed | wall | torch/_inductor/scheduler.py:create_backend | RuntimeError: Cannot find a working triton installation. More information on installing Triton can be found at https://github.com/openai/triton
issue-two-backends | broken_install | wall | triton/runtime/driver.py:_create_driver | RuntimeError: 2 compatible backends for target (cuda) ([<class 'c.CUDABackend'>, <class 'nvi.CUDABackend'>]). There should only be one.
issue-ep-shape | engine_bug checkpoint_mismatch unsupported_combination | either | vllm/model_executor/layers/fused_moe/layer.py:forward_impl | RuntimeError: shape mismatch: value tensor of shape [3328, 7168] cannot be broadcast to indexing result of shape [3328]
issue-hip-oom | cuda_out_of_memory | wall | torch/nn/modules/module.py:_apply | torch.OutOfMemoryError: HIP out of memory. Tried to allocate 1.06 GiB. GPU 0 has a total capacity of 62.47 GiB of which 812.00 MiB is free. Of the allocated memory 60.11 GiB is allocated by PyTorch, and 96.00 MiB is reserved by PyTorch but unallocated.
issue-flashinfer-assert | engine_bug config_rejected gpu_unsupported | either | vllm/v1/attention/backends/flashinfer.py:build | AssertionError
""",
        versions=NAMED,
    ),
    *rows(
        Phase.WARM_UP,
        Who.CORE,
        """
issue-nccl-attribute | engine_bug | either | vllm/v1/core/kv_cache_utils.py:get_kv_cache_groups | UnboundLocalError: cannot access local variable 'group_size' where it is not associated with a value
issue-config-not-set | engine_bug broken_install | either | vllm/config/vllm.py:get_current_vllm_config | AssertionError: Current vLLM config is not set. This typically means get_current_vllm_config() was called outside of a set_current_vllm_config() context, or a CustomOp was instantiated at module import time.
issue-device-fn | engine_bug | either | vllm/v1/worker/gpu/model_states.py:__init__ | AssertionError
""",
        versions=LATER,
    ),
    *rows(
        Phase.CONFIGURATION,
        Who.API,
        """
issue-ray-spec | config_rejected | wall | vllm/engine/arg_utils.py:create_engine_config | AssertionError: Speculative decoding is not supported with Ray.
issue-tokenizer-file | file_missing config_rejected weights_damaged model_not_found | wall | mistral_common/tokens/tokenizers/utils.py:get_one_valid_tokenizer_file | ValueError: No tokenizer file found in directory: /data/models/minimax_m2
issue-tokenizer-load | file_missing model_not_found weights_damaged | wall | transformers/tokenization_utils_base.py:from_pretrained | OSError: Can't load tokenizer for 'acme/chat-8b'. If you were trying to load it from 'https://huggingface.co/models', make sure you don't have a local directory with the same name. Otherwise, make sure 'acme/chat-8b' is the correct path to a directory containing all relevant files for a GPT2TokenizerFast tokenizer.
issue-unspecified | no_gpu broken_install | wall | vllm/platforms/interface.py:is_async_output_supported | NotImplementedError
issue-v1-bert | config_rejected unsupported_model | wall | vllm/engine/arg_utils.py:_raise_or_fallback | NotImplementedError: VLLM_USE_V1=1 is not supported with ['BertModel'].
issue-relative-model | model_not_found | wall | vllm/transformers_utils/config.py:get_config | ValueError: Invalid repository ID or local directory specified: 'Nanonets-OCR'.\\nPlease verify the following requirements:\\n1. Provide a valid Hugging Face repository ID.
issue-nvml-argument | no_gpu | wall | pynvml.py:_nvmlCheckReturn | pynvml.NVMLError_InvalidArgument: Invalid Argument
issue-port-busy-uds | permission_denied config_rejected | wall | vllm/entrypoints/openai/api_server.py:create_server_unix_socket | PermissionError: [Errno 13] Permission denied: '/run/vllm/api.sock'
issue-loader-extra | config_rejected | wall | vllm/model_executor/model_loader/default_loader.py:__init__ | ValueError: Unexpected extra config keys for load format auto: dict_keys(['distributed'])
""",
    ),
    *rows(
        Phase.CONFIGURATION,
        Who.API,
        """
issue-json-empty | weights_damaged config_rejected | wall | vllm/config/model.py:__post_init__ | ValueError: Expecting value: line 1 column 1 (char 0)
issue-gpt-oss-type | unsupported_model | wall | vllm/config/model.py:__post_init__ | ValueError: The checkpoint you are trying to load has model type `gpt_oss` but Transformers does not recognize this architecture. This could be because of an issue with the checkpoint, or because your version of Transformers is out of date.
issue-deepseek-ocr | unsupported_model | wall | vllm/config/model.py:__post_init__ | ValueError: Model architectures ['DeepseekOCRForCausalLM'] are not supported for now. Supported architectures: dict_keys(['LlamaForCausalLM'])
issue-kv-config | config_rejected | wall | vllm/config/kv_transfer.py:__post_init__ | ValueError: Unsupported kv_role: kv_prefill. Supported roles are ('kv_producer', 'kv_both')
issue-spec-none | config_rejected | wall | vllm/config/speculative.py:__post_init__ | ValueError: num_speculative_tokens was provided but without speculative model.
issue-max-len-mm | config_rejected context_too_long kv_cache_too_small | wall | vllm/config/scheduler.py:__post_init__ | ValueError: Chunked MM input disabled but max_tokens_per_mm_item (49152) is larger than max_num_batched_tokens (8192). Please increase max_num_batched_tokens.
""",
        config="ModelConfig",
    ),
    *rows(
        Phase.IMPORTS,
        Who.API,
        """
issue-llm-name | broken_install | wall | vllm/benchmarks/latency.py:<module> | ImportError: cannot import name 'LLM' from 'vllm' (/opt/venv/lib/python3.12/site-packages/vllm/__init__.py)
issue-unknown-location | broken_install | wall | vllm/entrypoints/cli/main.py:<module> | ImportError: cannot import name 'SamplingParams' from 'vllm' (unknown location)
issue-no-version | broken_install | wall | vllm/entrypoints/cli/main.py:<module> | AttributeError: module 'vllm' has no attribute '__version__'
""",
    ),
    *rows(
        Phase.LOADING,
        Who.CORE,
        """
issue-cpu-threads | broken_install | wall | torch/_ops.py:__getattr__ | AttributeError: '_OpNamespace' '_C_utils' object has no attribute 'init_cpu_threads_env'
issue-array-length | engine_bug crashed | either | vllm/v1/worker/gpu_worker.py:init_device | MemoryError: std::bad_array_new_length
issue-ep-adapter | lora_unusable config_rejected engine_bug | either | vllm/lora/layers/fused_moe.py:__init__ | AssertionError: EP support for Fused MoE LoRA is not implemented yet.
""",
        versions=V1,
    ),
    *rows(
        Phase.SERVING,
        Who.CORE,
        """
issue-eagle-positions | engine_bug | passes | vllm/v1/spec_decode/eagle.py:propose | AttributeError: 'EagleProposer' object has no attribute 'positions'
issue-nixl-blocks | engine_bug kv_transfer | passes | vllm/distributed/kv_transfer/kv_connector/v1/nixl_connector.py:add_remote_agent | AssertionError
issue-lmcache-none | engine_bug kv_transfer | passes | lmcache/integration/vllm/vllm_v1_adapter.py:start_load_kv | AttributeError: 'NoneType' object has no attribute 'lookup'
issue-sched-key | engine_bug | passes | vllm/v1/core/sched/scheduler.py:_update_states | KeyError: 'cmpl-9f2e-0'
issue-out-shape | engine_bug | passes | vllm/attention/backends/flash_attn.py:forward | RuntimeError: out must have shape (total_q, num_heads, head_size_og)
issue-graph-replay | cuda_error | passes | torch/cuda/graphs.py:replay | torch.AcceleratorError: CUDA error: an illegal instruction was encountered
""",
        versions=V1,
    ),
    *rows(
        Phase.SERVING,
        Who.CORE,
        """
issue-old-lookahead | engine_bug | passes | vllm/worker/cpu_worker.py:execute_model | TypeError: execute_model() got an unexpected keyword argument 'num_lookahead_slots'
issue-old-lora-off | lora_unusable config_rejected engine_bug | either | vllm/worker/model_runner.py:add_lora | RuntimeError: LoRA is not enabled.
""",
        versions=OLD,
    ),
)
