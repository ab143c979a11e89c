"""Tokenizers, processors, drafts, structured output and quantizations that do not fit."""

from tests.verdicts.failures.rows import rows
from tests.verdicts.model import NAMED, Phase, Who

NEWEST = ("0.25.1", "0.32.0", "0.33.0")

FAILURES = (
    *rows(
        Phase.CONFIGURATION,
        Who.API,
        """
processor-unrecognized | unsupported_model broken_install weights_damaged | wall | transformers/models/auto/processing_auto.py:from_pretrained | ValueError: Unrecognized processing class in acme/vision-7b. Can't instantiate a processor, a tokenizer, an image processor, a video processor or a feature extractor for this model. Make sure the repository contains the files of at least one of those processing classes.
tokenizer-needs-sentencepiece | broken_install | wall | transformers/utils/import_utils.py:requires_backends | ImportError: \\nLlamaTokenizer requires the SentencePiece library but it was not found in your environment. Check out the instructions on the\\ninstallation page of its repo: https://github.com/google/sentencepiece#installation
tokenizer-not-a-string | weights_damaged file_missing model_not_found | wall | sentencepiece/__init__.py:LoadFromFile | TypeError: not a string
tokenizer-class-unknown | unsupported_model broken_install | wall | transformers/models/auto/tokenization_auto.py:from_pretrained | ValueError: Tokenizer class TokenizersBackend does not exist or is not currently imported.
tokenizer-vocabulary-panic | weights_damaged broken_install crashed | wall | transformers/tokenization_utils_fast.py:__init__ | pyo3_runtime.PanicException: AddedVocabulary bad split
tokenizer-mistral-missing | file_missing model_not_found weights_damaged | wall | vllm/tokenizers/mistral.py:from_pretrained | OSError: Found 0 files matching the pattern: `^tokenizer\\.model\\.v.*$|^tekken\\.json$|^tokenizer\\.mm\\.model\\.v.*$`. Make sure that a Mistral tokenizer is present in ['config.json', 'model.safetensors'].
tool-parser-not-found | config_rejected | wall | vllm/tool_parsers/abstract_tool_parser.py:get_tool_parser | KeyError: "Tool parser 'qwen9_coder' not found. Available tool parsers: deepseek_v3, hermes, qwen3_coder"
parser-tokens-missing | config_rejected | wall | vllm/reasoning/basic_parsers.py:__init__ | RuntimeError: DeepSeekR1ReasoningParser reasoning parser could not locate think start/end tokens in the tokenizer!
unknown-variable | config_rejected unknown_flag | wall | vllm/platforms/interface.py:validate_environ | ValueError: Unknown vLLM environment variable detected: VLLM_ATENTION_BACKEND
two-platforms | broken_install config_rejected | wall | vllm/platforms/__init__.py:resolve_current_platform_cls_qualname | RuntimeError: Only one platform plugin can be activated, but got: ['ascend', 'cuda']
config-file-type | config_rejected unknown_flag | wall | vllm/utils/argparse_utils.py:load_config_file | ValueError: Config file must be of a yaml/yml type. engine.json supplied
eplb-config | config_rejected parallel_misfit | wall | vllm/config/parallel.py:_validate_parallel_config | ValueError: EPLB requires tensor, prefill-context, or data parallelism, but got TP=1, PCP=1, DP=1.
audio-extra-missing | broken_install | wall | vllm/utils/import_utils.py:__getattr__ | ImportError: Please install vllm[audio] for audio support
""",
    ),
    *rows(
        Phase.CONFIGURATION,
        Who.API,
        """
draft-without-tokens | config_rejected | wall | vllm/config/speculative.py:__post_init__ | ValueError: num_speculative_tokens must be provided with speculative model unless the draft model config contains an n_predict parameter.
draft-parallel-size | config_rejected parallel_misfit | wall | vllm/config/speculative.py:_verify_and_get_draft_tp | ValueError: speculative_draft_tensor_parallel_size=4 cannot be other value than 1 or target model tensor_parallel_size
draft-method-unknown | config_rejected | wall | vllm/config/speculative.py:__post_init__ | NotImplementedError: Unsupported speculative method: 'eagle4'
draft-key-unknown | config_rejected | wall | vllm/config/speculative.py:_verify_args | ValueError: 'tensor_parallel_size' is not a valid argument in the speculative_config. Please pass 'draft_tensor_parallel_size' instead.
""",
        config="SpeculativeConfig",
    ),
    *rows(
        Phase.CONFIGURATION,
        Who.API,
        """
quantization-dtype | config_rejected gpu_unsupported | wall | vllm/config/vllm.py:_get_quantization_config | ValueError: torch.bfloat16 is not supported for quantization method awq. Supported dtypes: [torch.float16]
quantization-deprecated | config_rejected | wall | vllm/config/model.py:_verify_quantization | ValueError: The quantization method experts_int8 is deprecated and will be removed in future versions of vLLM. To bypass, set `--allow-deprecated-quantization`.
encoder-backend-removed | config_rejected | wall | vllm/config/multimodal.py:_validate_mm_encoder_attn_backend | ValueError: Attention backend 'XFORMERS' has been removed (See PR #29262 for details). Please select a supported attention backend.
""",
        config="VllmConfig",
        versions=NAMED,
    ),
    *rows(
        Phase.LOADING,
        Who.WORKER,
        """
quantization-scheme | config_rejected gpu_unsupported unsupported_model checkpoint_mismatch | wall | vllm/model_executor/layers/quantization/compressed_tensors/compressed_tensors.py:_get_scheme_from_parts | NotImplementedError: No compressed-tensors compatible scheme was found for layer_name=model.layers.0.mlp.down_proj, weight_quant=num_bits=3 type='int', input_quant=None, output_quant=None, format=pack-quantized
quantization-fp8-online | config_rejected | wall | vllm/model_executor/layers/quantization/fp8.py:__init__ | ValueError: The `fp8` quantization method no longer supports online quantization. Please use `--quantization fp8_per_tensor` instead. See https://docs.vllm.ai/en/stable/features/quantization/online/
quantization-actorder | checkpoint_mismatch config_rejected unsupported_model | wall | vllm/model_executor/layers/quantization/compressed_tensors/compressed_tensors.py:_quantization_scheme_map_from_config | ValueError: Compressed-tensors group/dynamic activation ordering (actorder='group') is no longer supported. Use a checkpoint with static/weight activation ordering or without activation ordering.
quantization-layer | config_rejected unsupported_model | wall | vllm/model_executor/model_loader/bitsandbytes_loader.py:_verify_model_compatibility | AttributeError: Model GptOssForCausalLM does not support BitsAndBytes quantization yet. No 'packed_modules_mapping' found.
gguf-names | checkpoint_mismatch unsupported_model | wall | vllm/model_executor/model_loader/gguf_loader.py:_get_gguf_weights_map | RuntimeError: Failed to map GGUF parameters (12): ['model.layers.0.mlp.gate.e_score_correction_bias', 'model.layers.1.mlp.gate.e_score_correction_bias']
nvfp4-needs-blackwell | gpu_unsupported | wall | vllm/model_executor/layers/quantization/online/nvfp4.py:__init__ | ValueError: nvfp4_per_token online quantization requires a Blackwell (SM100) GPU.
group-size-misfit | parallel_misfit checkpoint_mismatch config_rejected | wall | vllm/model_executor/layers/quantization/quark/schemes/quark_nvfp4.py:create_weights | ValueError: Input size per partition (2730) must be divisible by group size (16)
no-shared-block-size | config_rejected | wall | vllm/platforms/interface.py:_preferred_block_size_for_backends | ValueError: The attention backends share no supported KV cache block size (FLASHINFER: [16, 32, 64]; TRITON_MLA: [128]).
backend-not-valid | config_rejected gpu_unsupported | wall | vllm/platforms/cuda.py:get_attn_backend_cls | ValueError: Selected backend AttentionBackendEnum.FLASHMLA is not valid for this configuration. Reason: ['head_size not supported', 'compute capability not supported']
visible-ordinal | no_gpu parallel_misfit config_rejected | wall | vllm/platforms/interface.py:visible_device_id_to_physical_device_id | IndexError: visible device ordinal 4 is out of range for CUDA_VISIBLE_DEVICES='0,1'
weight-cache-gone | weight_cache config_rejected file_missing dist_unreachable | either | vllm/model_executor/model_loader/weight_cache/ipc_loader.py:_connect | vllm.model_executor.model_loader.weight_cache.protocol.WeightCacheUnavailableError: Weight cache socket /run/vllm/cache.sock is unavailable: [Errno 2] No such file or directory
weight-cache-other-model | weight_cache config_rejected | wall | vllm/model_executor/model_loader/weight_cache/ipc_loader.py:_request_state | vllm.model_executor.model_loader.weight_cache.protocol.CacheConfigMismatchError: WeightCacheKey mismatch on fields: ['dtype', 'quantization']
numa-too-few | numa_refused parallel_misfit config_rejected | wall | vllm/utils/ompmultiprocessing.py:_get_autobind_cpu_ids | AssertionError: Not enough allowed NUMA nodes to bind threads of 2 local CPUWorkers. Allowed NUMA nodes are [0]. Please try to bind threads manually or decrease DP/TP/PP.
nic-mapping | config_rejected | wall | vllm/v1/executor/vllm_net_devices.py:set_worker_net_device | RuntimeError: VLLM_NIC_SELECTION_VARS is set but VLLM_GPU_NIC_PCIE_MAPPING is not; both must be set together.
logits-plugin | broken_install config_rejected file_missing | wall | vllm/v1/sample/logits_processor/__init__.py:_load_logitsprocs_by_fqcns | RuntimeError: Failed to load 0th LogitsProcessor plugin acme.bias:Bias
draft-vocabulary | config_rejected checkpoint_mismatch | wall | vllm/v1/spec_decode/draft_model.py:_raise_if_vocab_size_mismatch | ValueError: Target and draft model should have the same vocabulary size. Target model vocab_size=151936. Draft model vocab_size=151643. Using models with different tokenizers can cause out-of-bounds errors. Please check speculative_config.
draft-weights | checkpoint_mismatch | wall | vllm/model_executor/models/llama_eagle3.py:load_weights | KeyError: 'midlayer.self_attn.qkv_proj.weight'
""",
        versions=NEWEST,
    ),
    *rows(
        Phase.PROFILING,
        Who.CORE,
        """
processor-failed | processor_failed broken_install unsupported_model config_rejected | wall | vllm/multimodal/processing/context.py:call_hf_processor | ValueError: Failed to apply Qwen2_5_VLProcessor on data={'text': '<|image_pad|>', 'images': [<PIL.Image.Image image mode=RGB size=3584x3584>]} with kwargs={'truncation': False}
processor-type | processor_failed broken_install unsupported_model config_rejected | wall | vllm/transformers_utils/processor.py:get_processor | TypeError: Invalid type of HuggingFace processor. Expected type: <class 'transformers.models.qwen2_vl.processing_qwen2_vl.Qwen2VLProcessor'>, but found type: <class 'transformers.models.qwen2.tokenization_qwen2.Qwen2Tokenizer'>
processor-argument | processor_failed broken_install unsupported_model | wall | transformers/processing_utils.py:check_argument_for_proper_class | TypeError: Received a Qwen2VLImageProcessorFast for argument image_processor, but a Qwen2VLImageProcessor was expected.
processor-prompt | processor_failed unsupported_model config_rejected checkpoint_mismatch | wall | vllm/multimodal/processing/processor.py:_matched_updates_from_result | AssertionError: Failed to apply prompt replacement for mm_items['image'][0]
open-port-attempts | port_in_use zmq_port_in_use | either | vllm/utils/network_utils.py:_get_open_port | RuntimeError: Could not find open port after 8 attempts starting from port 29500
""",
        versions=NEWEST,
    ),
    *rows(
        Phase.SERVING,
        Who.CORE,
        """
grammar-fsm | engine_bug | passes | vllm/v1/structured_output/backend_xgrammar.py:accept_tokens | AssertionError: Failed to advance FSM for request chatcmpl-1
grammar-check | engine_bug | passes | vllm/v1/structured_output/backend_xgrammar.py:compile_grammar | RuntimeError: [21:05:40] /project/cpp/grammar_functor.cc:1371: Check failed: (id != -1) is false: The root rule is not found
ep-fault | peer_lost worker_timeout nccl_failure | passes | vllm/v1/worker/gpu/async_utils.py:get_output | RuntimeError: Fault detected in EP all2all communication: one or more ranks timed out during dispatch/combine. Mask: [1, 1, 0, 1]
draft-index | engine_bug cuda_error | passes | vllm/v1/spec_decode/eagle.py:propose | IndexError: index 4096 is out of bounds for dimension 0 with size 4096
""",
        versions=NAMED,
    ),
)
