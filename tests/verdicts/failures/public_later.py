"""Failures that people report in public, written last, in two batches."""

from tests.verdicts.failures.rows import rows
from tests.verdicts.model import NAMED, Phase, Who

FAILURES = (
    *rows(
        Phase.LOADING,
        Who.WORKER,
        """
fresh-w2-weight | checkpoint_mismatch | wall | vllm/model_executor/models/deepseek_v2.py:load_weights | KeyError: 'model.layers.60.mlp.experts.w2_weight'
fresh-gemma-vocab | unsupported_model broken_install checkpoint_mismatch engine_bug unsupported_combination | wall | vllm/model_executor/models/gemma3_mm.py:__init__ | AttributeError: 'Gemma3Config' object has no attribute 'vocab_size'
fresh-ct-scheme | config_rejected unsupported_model checkpoint_mismatch | wall | vllm/model_executor/layers/quantization/compressed_tensors/compressed_tensors.py:_get_scheme_from_parts | NotImplementedError: No compressed-tensors compatible scheme was found.
fresh-ct-target | checkpoint_mismatch config_rejected unsupported_model | wall | vllm/model_executor/layers/quantization/compressed_tensors/utils.py:find_matched_target | ValueError: Unable to find matching target for model.layers.0.mlp.gate_up_proj in the compressed-tensors config.
fresh-ct-shards | checkpoint_mismatch config_rejected unsupported_model | wall | vllm/model_executor/layers/quantization/utils/quant_utils.py:is_layer_skipped | ValueError: Detected some but not all shards of model.layers.0.linear_attn.in_proj are quantized. All shards of fused layers to have the same precision.
fresh-oneccl | no_gpu permission_denied nccl_failure driver_mismatch | either | torch/distributed/distributed_c10d.py:all_reduce | RuntimeError: oneCCL: ze_fd_manager.cpp:214 fill_device_fds: EXCEPTION: open failed: fd: -1, errno: No such file or directory
fresh-score-weight | checkpoint_mismatch config_rejected | wall | vllm/model_executor/model_loader/default_loader.py:load_weights | ValueError: Following weights were not initialized from checkpoint: {'score.weight'}
fresh-sinks-flashinfer | gpu_unsupported config_rejected | wall | vllm/v1/attention/backends/flashinfer.py:__init__ | NotImplementedError: FlashInfer backend currently does not support attention sinks, please use trtllm on blackwell or flash attention on earlier GPUs.
fresh-sinks-fa3 | gpu_unsupported config_rejected | wall | vllm/v1/attention/backends/flash_attn.py:__init__ | AssertionError: Sinks are only supported in FlashAttention 3
fresh-cumem | config_rejected gpu_unsupported | wall | vllm/device_allocator/cumem.py:get_instance | AssertionError: cumem allocator is not available
fresh-expandable | config_rejected | wall | vllm/device_allocator/cumem.py:__init__ | AssertionError: Expandable segments are not compatible with memory pool. Please track https://github.com/pytorch/pytorch/issues/147851 for the latest updates.
""",
        versions=NAMED,
    ),
    *rows(
        Phase.PROFILING,
        Who.WORKER,
        """
fresh-xpu-mem-info | gpu_unsupported | wall | torch/xpu/memory.py:mem_get_info | RuntimeError: The device (Intel(R) Graphics [0x7d51]) doesn't support querying the available free memory. You can file an issue at https://github.com/pytorch/pytorch/issues to help us prioritize its implementation.
fresh-mat-shapes | checkpoint_mismatch engine_bug | wall | torch/nn/functional.py:linear | RuntimeError: mat1 and mat2 shapes cannot be multiplied (8192x5120 and 2560x10240)
fresh-scalar-type | config_rejected engine_bug unsupported_combination | wall | torch/nn/functional.py:linear | RuntimeError: expected scalar type BFloat16 but found Half
fresh-fake-tensors | compile_failed | wall | torch/_dynamo/utils.py:get_fake_value | torch._dynamo.exc.TorchRuntimeError: Dynamo failed to run FX node with fake tensors: call_function <built-in function linear>
fresh-constraints | compile_failed engine_bug | wall | torch/fx/experimental/symbolic_shapes.py:produce_guards_verbose | torch.fx.experimental.symbolic_shapes.ConstraintViolationError: Constraints violated (L['input_ids'].size()[0])! For more information, run with TORCH_LOGS="+dynamic".
fresh-heuristic | cuda_error gpu_unsupported | either | torch/nn/functional.py:linear | RuntimeError: CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasLtMatmulAlgoGetHeuristic( ltHandle, computeDesc.descriptor(), Adesc.descriptor())`
fresh-oom-profile | cuda_out_of_memory | wall | vllm/worker/model_runner.py:profile_run | torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 800.00 MiB. GPU 0 has a total capacity of 15.56 GiB of which 442.62 MiB is free. Including non-PyTorch memory, this process has 15.12 GiB memory in use. Of the allocated memory 14.88 GiB is allocated by PyTorch, and 38.19 MiB is reserved by PyTorch but unallocated.
""",
        versions=NAMED,
    ),
    *rows(
        Phase.WARM_UP,
        Who.WORKER,
        """
fresh-capture | cuda_graph_failed cuda_error | either | torch/cuda/graphs.py:capture_end | RuntimeError: CUDA error: operation failed due to a previous error during capture
""",
        versions=NAMED,
    ),
    *rows(
        Phase.CONFIGURATION,
        Who.API,
        r"""
fresh-llava-type | unsupported_model | wall | transformers/models/auto/configuration_auto.py:from_pretrained | ValueError: The checkpoint you are trying to load has model type `llava_mistral` but Transformers does not recognize this architecture. This could be because of an issue with the checkpoint, or because your version of Transformers is out of date.
fresh-no-dns | hub_unreachable | passes | requests/adapters.py:send | requests.exceptions.ConnectionError: (MaxRetryError('HTTPSConnectionPool(host=\'huggingface.co\', port=443): Max retries exceeded with url: /api/models/acme/chat-8b/revision/main (Caused by NameResolutionError("Failed to resolve \'huggingface.co\' ([Errno -3] Temporary failure in name resolution)"))'), '(Request ID: 180aa8f1)')
fresh-offline | model_not_found | wall | huggingface_hub/utils/_http.py:send | huggingface_hub.errors.OfflineModeIsEnabled: Cannot reach https://huggingface.co/api/models/bigcode/starcoder: offline mode is enabled. To disable it, please unset the `HF_HUB_OFFLINE` environment variable.
fresh-audio-extra | broken_install | wall | vllm/multimodal/audio.py:__getattr__ | ImportError: Please install vllm[audio] for audio support
fresh-image-processor | unsupported_model processor_failed weights_damaged model_not_found | wall | transformers/models/auto/image_processing_auto.py:from_pretrained | ValueError: Unrecognized image processor in /models/chat. Should have a `image_processor_type` key in its preprocessor_config.json of config.json, or one of the following `model_type` keys in its config.json: align, beit
fresh-protobuf-needed | broken_install | wall | transformers/utils/import_utils.py:requires_backends | ImportError: LlamaTokenizer requires the protobuf library but it was not found in your environment. Check out the instructions on the installation page of its repo.
fresh-slow-tokenizer | broken_install weights_damaged | wall | transformers/tokenization_utils_fast.py:__init__ | ValueError: Cannot instantiate this tokenizer from a slow version. If it's based on sentencepiece, make sure you have sentencepiece installed.
fresh-nfs-busy | storage_failed | either | huggingface_hub/file_download.py:_chmod_and_move | OSError: [Errno 16] Device or resource busy: '/root/.cache/huggingface/hub/models--acme--chat-8b/.nfs0000000012ab'
fresh-file-exists | compile_cache file_missing storage_failed permission_denied | either | vllm/compilation/backends.py:__call__ | FileExistsError: [Errno 17] File exists: '/root/.cache/vllm/torch_compile_cache'
""",
        versions=NAMED,
    ),
    *rows(
        Phase.IMPORTS,
        Who.API,
        """
fresh-typing-sentinel | broken_install | wall | pydantic_core/core_schema.py:<module> | ImportError: cannot import name 'Sentinel' from 'typing_extensions' (/usr/lib/python3/dist-packages/typing_extensions.py)
fresh-spark-nvml | no_gpu driver_mismatch gpu_unsupported | wall | vllm/third_party/pynvml.py:_nvmlCheckReturn | vllm.third_party.pynvml.NVMLError_NotSupported: Not Supported
""",
        versions=NAMED,
    ),
    *rows(
        Phase.ARGUMENTS,
        Who.API,
        """
fresh-config-missing | file_missing | wall | vllm/utils/argparse_utils.py:load_config_file | FileNotFoundError: [Errno 2] No such file or directory: '/etc/vllm/config.yaml'
""",
        versions=NAMED,
    ),
    *rows(
        Phase.SERVING,
        Who.CORE,
        """
fresh-no-pooler | engine_bug config_rejected | passes | torch/nn/modules/module.py:__getattr__ | AttributeError: 'Qwen3ForCausalLM' object has no attribute 'pooler'
fresh-index-bounds | engine_bug | passes | vllm/v1/worker/gpu_model_runner.py:_prepare_inputs | IndexError: index 100 is out of bounds for axis 0 with size 100
fresh-none-pooler | engine_bug | passes | vllm/worker/embedding_model_runner.py:execute_model | AttributeError: 'NoneType' object has no attribute 'multi_modal_placeholder_index_maps'
fresh-lmcache-unpack | kv_transfer engine_bug | passes | lmcache/integration/vllm/vllm_adapter.py:lmcache_store_kv | ValueError: not enough values to unpack (expected 3, got 2)
fresh-lmcache-tuple | kv_transfer engine_bug | passes | lmcache/v1/gpu_connector.py:from_gpu | AttributeError: 'tuple' object has no attribute 'device'
fresh-ebnf | engine_bug | passes | xgrammar/grammar.py:from_ebnf | RuntimeError: [09:11:37] /project/cpp/grammar_parser.cc:74: EBNF lexer error at line 1, column 9: Unexpected character
fresh-encoder-miss | engine_bug | passes | vllm/v1/worker/gpu_model_runner.py:_gather_mm_embeddings | AssertionError: Encoder cache miss for 7aa1f0.
fresh-view-size | engine_bug | passes | vllm/v1/attention/backends/flash_attn.py:forward | RuntimeError: shape '[-1, 8, 128]' is invalid for input of size 640
fresh-broadcast | engine_bug | passes | vllm/v1/worker/gpu_input_batch.py:add_request | ValueError: could not broadcast input array from shape (513,) into shape (512,)
""",
        versions=NAMED,
    ),
    *rows(
        Phase.CONFIGURATION,
        Who.API,
        """
last-hf-transfer-missing | broken_install | wall | huggingface_hub/file_download.py:http_get | ValueError: Fast download using 'hf_transfer' is enabled (HF_HUB_ENABLE_HF_TRANSFER=1) but 'hf_transfer' package is not available in your environment. Try `pip install hf_transfer`.
last-hf-transfer-failed | hub_unreachable | passes | huggingface_hub/file_download.py:http_get | RuntimeError: An error occurred while downloading using `hf_transfer`. Consider disabling HF_HUB_ENABLE_HF_TRANSFER for better error handling.
last-rope-key | config_rejected unsupported_model weights_damaged | wall | vllm/config/model.py:_get_and_verify_max_len | ValueError: rope_scaling should have a 'rope_type' key
last-none-quant | engine_bug config_rejected checkpoint_mismatch weights_damaged unsupported_model unsupported_combination | wall | vllm/model_executor/layers/quantization/compressed_tensors/compressed_tensors.py:from_config | AttributeError: 'NoneType' object has no attribute 'get'
last-consolidated | weights_damaged | wall | mistral_common/tokens/tokenizers/base.py:from_file | FileNotFoundError: [Errno 2] No such file or directory: '/models/chat/consolidated.safetensors'
last-fa2-toggled | broken_install | wall | transformers/modeling_utils.py:_flash_attn_2_can_dispatch | ImportError: FlashAttention2 has been toggled on, but it cannot be used due to the following error: the package flash_attn seems to be not installed. Please refer to the documentation
last-api-key-file | file_missing permission_denied config_rejected | wall | pathlib.py:read_text | FileNotFoundError: [Errno 2] No such file or directory: '/run/secrets/vllm_api_key'
last-middleware | config_rejected broken_install unknown_flag | wall | vllm/entrypoints/openai/api_server.py:build_app | ModuleNotFoundError: No module named 'mymiddleware'
last-tool-plugin | file_missing config_rejected | wall | vllm/utils/import_utils.py:import_from_path | FileNotFoundError: [Errno 2] No such file or directory: '/plugins/my_parser.py'
last-chat-jinja | config_rejected weights_damaged file_missing | wall | jinja2/parser.py:fail | jinja2.exceptions.TemplateSyntaxError: unexpected '}'
""",
        versions=NAMED,
    ),
    *rows(
        Phase.LOADING,
        Who.WORKER,
        r"""
last-state-dict | checkpoint_mismatch | wall | torch/nn/modules/module.py:load_state_dict | RuntimeError: Error(s) in loading state_dict for Qwen2VisionTransformer:\n\tsize mismatch for blocks.0.attn.qkv.weight: copying a param with shape torch.Size([3840, 1280]) from checkpoint, the shape in current model is torch.Size([2560, 1280]).
last-init-error | fork_cuda cuda_error no_gpu driver_mismatch | either | torch/cuda/__init__.py:_lazy_init | RuntimeError: CUDA error: initialization error
last-deserialize | no_gpu | wall | torch/serialization.py:_validate_device | RuntimeError: Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your storages to the CPU.
last-flashmla | gpu_unsupported config_rejected | wall | vllm/v1/attention/backends/mla/flashmla.py:__init__ | RuntimeError: FlashMLA is not supported, reason: FlashMLA is only supported on Hopper and Blackwell devices.
last-indexer-deepgemm | broken_install | wall | vllm/model_executor/layers/sparse_attn_indexer.py:__init__ | RuntimeError: Sparse Attention Indexer CUDA op requires DeepGEMM to be installed.
last-awq-group | config_rejected parallel_misfit checkpoint_mismatch | wall | vllm/model_executor/layers/quantization/awq_marlin.py:create_weights | ValueError: Unsupported group_size: 64 for marlin with 8 bits
last-ckpt-shape | checkpoint_mismatch parallel_misfit | wall | vllm/model_executor/layers/vocab_parallel_embedding.py:weight_loader | AssertionError: loaded_weight.shape[output_dim] == self.org_vocab_size
last-hidden-dim | checkpoint_mismatch config_rejected unsupported_model engine_bug | wall | vllm/model_executor/models/llama_eagle3.py:__init__ | AssertionError: Draft hidden size 2880 does not match target hidden size 4096
""",
        versions=NAMED,
    ),
    *rows(
        Phase.PROFILING,
        Who.WORKER,
        """
last-fa-none | gpu_unsupported config_rejected broken_install | wall | vllm/vllm_flash_attn/flash_attn_interface.py:flash_attn_varlen_func | ValueError: Unsupported FA version: None
last-deepgemm-old | broken_install | wall | vllm/utils/deep_gemm.py:_missing | RuntimeError: DeepGEMM backend is not available or outdated. Please install or update the `deep_gemm` to a newer version to enable FP8 kernels.
last-triton-oom | cuda_out_of_memory | wall | triton/backends/nvidia/driver.py:load_binary | RuntimeError: Triton Error [CUDA]: out of memory
last-lowering | compile_failed | wall | torch/_inductor/graph.py:run_node | torch._inductor.exc.InductorError: LoweringException: AssertionError: both a fake tensor and a real one
last-hybrid-kv | config_rejected unsupported_model engine_bug | wall | vllm/v1/core/kv_cache_utils.py:unify_hybrid_kv_cache_specs | ValueError: Hybrid KV cache manager is disabled but failed to convert the KV cache specs to one unified type.
last-autotune | cuda_error gpu_unsupported compile_failed engine_bug missing_kernels unsupported_combination | either | flashinfer/autotuner.py:choose_one | RuntimeError: [TensorRT-LLM][ERROR] Assertion failed: No valid config found for the given problem shape
""",
        versions=NAMED,
    ),
)
