"""Loads and engines at work that failed, as people report them in public."""

from tests.verdicts.failures.rows import rows
from tests.verdicts.model import NAMED, Phase, Who

FAILURES = (
    *rows(
        Phase.LOADING,
        Who.CORE,
        """
pub-ray-driver | ray_resources | either | vllm/executor/ray_distributed_executor.py:_init_workers_ray | ValueError: Ray does not allocate any GPUs on the driver node. Consider adjusting the Ray placement group or running the driver on a GPU node. Driver IP: 10.0.0.1, worker IPs: ['10.0.0.2'].
pub-xgrammar-vocab | checkpoint_mismatch weights_damaged engine_bug config_rejected unsupported_combination | wall | xgrammar/tokenizer_info.py:from_huggingface | ValueError: Input vocab_size less than minimum viable vocab size for tokenizer <class 'vllm.tokenizers.mistral.MistralTokenizer'>.
pub-mistral-attr | engine_bug config_rejected broken_install processor_failed | wall | transformers/processing_utils.py:__init__ | AttributeError: 'MistralTokenizer' object has no attribute 'init_kwargs'
""",
        versions=NAMED,
    ),
    *rows(
        Phase.LOADING,
        Who.WORKER,
        """
pub-libcuda | no_gpu broken_install compiler_missing driver_mismatch | wall | triton/backends/nvidia/driver.py:libcuda_dirs | AssertionError: libcuda.so cannot found!
pub-nixl-backend | kv_transfer | either | nixl/_api.py:register_memory | nixl._bindings.nixlBackendError: NIXL_ERR_BACKEND
pub-nixl-ucx | kv_transfer | either | nixl/_api.py:register_memory | KeyError: 'UCX'
pub-moriio | broken_install kv_transfer | wall | vllm/distributed/kv_transfer/kv_connector/v1/moriio/moriio_connector.py:__init__ | RuntimeError: MoRIIO is not available. Please ensure the 'mori' package is installed and properly configured.
pub-mooncake | broken_install kv_transfer | wall | vllm/distributed/kv_transfer/kv_connector/v1/mooncake/mooncake_connector.py:__init__ | ImportError: Please install mooncake by following the instructions at https://github.com/kvcache-ai/Mooncake/blob/main/doc/en/build.md to run VLLM with MooncakeTransferEngine.
pub-w13-bias | checkpoint_mismatch | wall | vllm/model_executor/models/gpt_oss.py:_load_weights_other | KeyError: 'layers.0.mlp.experts.w13_bias'
pub-gguf-reshape | weights_damaged checkpoint_mismatch | wall | gguf/gguf_reader.py:_build_tensors | ValueError: cannot reshape array of size 3670016 into shape (4096,1344)
pub-gguf-type | unsupported_model | wall | vllm/model_executor/model_loader/gguf_loader.py:_get_gguf_weights_map | RuntimeError: Unknown gguf model_type: gemma3
pub-mxfp4-gfx942 | gpu_unsupported config_rejected | wall | aiter/ops/triton/batched_gemm_a16wfp4.py:batched_gemm_a16wfp4 | RuntimeError: MXFP4 quantization is not supported on gfx942
pub-uva | gpu_unsupported config_rejected no_gpu | wall | vllm/v1/worker/gpu/buffer_utils.py:__init__ | RuntimeError: UVA is not available
pub-kv-nvfp4 | gpu_unsupported config_rejected | wall | vllm/v1/attention/backends/flashinfer.py:__init__ | ValueError: --kv-cache-dtype nvfp4 requires the SM100 trtllm-gen FlashInfer path.
pub-e5m2 | config_rejected | wall | vllm/model_executor/layers/attention/attention.py:_init_kv_cache_quant | ValueError: fp8_e5m2 kv-cache is not supported with fp8 checkpoints.
pub-quark | broken_install | wall | vllm/model_executor/layers/quantization/utils/mxfp4_utils.py:_dequant_mxfp4 | ImportError: The package `amd-quark` is required to use MX-FP4 models. Please install it with `pip install amd-quark`.
pub-tensorizer-uri | config_rejected model_not_found | wall | vllm/model_executor/model_loader/tensorizer.py:deserialize_tensorizer_model | ValueError: s3x://bucket/model.tensors is not a valid tensorizer URI. Please check that the URI is correct. It must either point to a local existing file, or have a S3, HTTP or HTTPS scheme.
pub-runai-limit | config_rejected | wall | vllm/model_executor/model_loader/runai_streamer_loader.py:__init__ | ValueError: memory_limit must be an integer >= -1, got 'all'
pub-deepep-missing | broken_install | wall | vllm/distributed/device_communicators/all2all.py:__init__ | ModuleNotFoundError: No module named 'deep_ep'
pub-remote-rotary | broken_install unsupported_model checkpoint_mismatch | wall | transformers_modules/acme/chat/modeling_chat.py:__init__ | TypeError: LlamaRotaryEmbedding.__init__() got an unexpected keyword argument 'rope_parameters'
pub-sem-denied | permission_denied shm_too_small | wall | multiprocessing/synchronize.py:__init__ | PermissionError: [Errno 13] Permission denied
pub-lora-none | config_rejected unsupported_model lora_unusable | wall | vllm/lora/model_manager.py:create_lora_manager | ValueError: Model <class 'vllm.model_executor.models.whisper.WhisperModel'> is not supported for LoRA.
pub-narrow | checkpoint_mismatch parallel_misfit | wall | vllm/model_executor/layers/linear.py:weight_loader | RuntimeError: start (0) + length (2560) exceeds dimension size (1280).
pub-tensor-size | checkpoint_mismatch | wall | vllm/model_executor/model_loader/weight_utils.py:default_weight_loader | RuntimeError: The size of tensor a (4096) must match the size of tensor b (2048) at non-singleton dimension 0
pub-half-cpu | config_rejected gpu_unsupported | wall | torch/nn/modules/linear.py:forward | RuntimeError: "addmm_impl_cpu_" not implemented for 'Half'
pub-kernel-dtype | config_rejected gpu_unsupported missing_kernels | wall | vllm/_custom_ops.py:rms_norm | RuntimeError: "rms_norm_kernel" not implemented for 'Float8_e4m3fn'
pub-unbound-loader | engine_bug checkpoint_mismatch | wall | vllm/model_executor/models/qwen3_moe.py:load_weights | UnboundLocalError: cannot access local variable 'weight_loader' where it is not associated with a value
pub-meta-tensor | engine_bug checkpoint_mismatch unsupported_combination | wall | torch/nn/modules/module.py:convert | NotImplementedError: Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty() instead of torch.nn.Module.to() when moving module from meta to a different device.
pub-file-too-large | limit_reached disk_full storage_failed | wall | huggingface_hub/file_download.py:http_get | OSError: [Errno 27] File too large
pub-safetensors-dtype | weights_damaged unsupported_model broken_install | wall | safetensors/torch.py:load_file | safetensors_rust.SafetensorError: Error while deserializing header: invalid JSON in header: unknown variant `F4`, expected one of `BOOL`, `U8`, `I8`
pub-weights-only | weights_damaged config_rejected unsupported_model checkpoint_mismatch | wall | torch/serialization.py:load | _pickle.UnpicklingError: Weights only load failed. This file can still be loaded, to do so you have two options
pub-zstd-kv | config_rejected kv_transfer broken_install | wall | lmcache/v1/config.py:validate | ValueError: Unsupported remote url: lm:/10.0.0.4:65432
pub-redis | kv_transfer dist_unreachable | passes | redis/asyncio/connection.py:connect | redis.exceptions.ConnectionError: Error 111 connecting to kv-store:6379. Connect call failed ('10.0.0.4', 6379).
pub-etcd | kv_transfer dist_unreachable ray_resources | passes | vllm/distributed/kv_transfer/kv_connector/v1/mooncake/mooncake_connector.py:__init__ | RuntimeError: Mooncake Transfer Engine initialization failed.
""",
        versions=NAMED,
    ),
    *rows(
        Phase.PROFILING,
        Who.WORKER,
        r"""
pub-nvcc-option | compiler_missing compile_failed broken_install | wall | flashinfer/jit/cpp_ext.py:run_ninja | RuntimeError: Ninja build failed. Ninja output:\nninja: Entering directory `/root/.cache/flashinfer/90/cached_ops'\n[1/3] /usr/local/cuda/bin/nvcc --generate-dependencies-with-compile\nnvcc fatal   : Unknown option '-static-global-template-stub=false'
pub-nvrtc | compile_failed compiler_missing broken_install | wall | vllm/utils/deep_gemm.py:fp8_gemm_nt | RuntimeError: Assertion error (/workspace/DeepGEMM/csrc/jit/compiler.hpp:253): NVRTC compilation failed
pub-inductor-name | compile_failed engine_bug | wall | torch/_inductor/graph.py:compile_to_module | torch._inductor.exc.InductorError: NameError: name 's72' is not defined
pub-backend-failed | compile_failed engine_bug | wall | torch/_dynamo/output_graph.py:_call_user_compiler | torch._dynamo.exc.BackendCompilerFailed: backend='<vllm.compilation.backends.VllmBackend object at 0x7f0a>' raised:\nAssertionError: expected size 4096==2048, stride 1==1 at dim=1
pub-pixtral-processor | processor_failed engine_bug | wall | vllm/multimodal/processing/context.py:call_hf_processor | ValueError: Failed to apply PixtralProcessor on data={'text': '[IMG]', 'images': 1} with kwargs={}
pub-peer-access | nccl_failure custom_all_reduce gpu_unsupported cuda_error | either | vllm/distributed/device_communicators/custom_all_reduce.py:create_shared_buffer | RuntimeError: CUDART error: peer access is not supported between these two devices
pub-bad-alloc | host_out_of_memory | either | torch/utils/cpp_extension.py:load | MemoryError: std::bad_alloc
pub-capture-oom | cuda_out_of_memory cuda_graph_failed | wall | vllm/compilation/cuda_graph.py:__call__ | RuntimeError: CUDA driver error: out of memory
""",
        versions=NAMED,
    ),
    *rows(
        Phase.SERVING,
        Who.CORE,
        """
pub-same-id | engine_bug | passes | vllm/v1/core/sched/scheduler.py:_free_request | KeyError: 'cmpl-test-0'
pub-bitmask-index | engine_bug | passes | vllm/v1/structured_output/utils.py:apply_grammar_bitmask | IndexError: index 2 is out of bounds for axis 0 with size 2
pub-eagle-positions | engine_bug | passes | vllm/v1/spec_decode/eagle.py:propose | AttributeError: 'EagleProposer' object has no attribute 'positions'
pub-workspace-locked | engine_bug cuda_out_of_memory | passes | vllm/v1/worker/workspace.py:_ensure_workspace_size | AssertionError: Workspace is locked but allocation from 'mla.py:120:forward' requires 812.50 MB, current size is 640.00 MB. Workspace growth is not allowed after locking.
pub-flex-misaligned | cuda_error | passes | torch/_dynamo/convert_frame.py:_compile | torch._dynamo.exc.InternalTorchDynamoError: AcceleratorError: CUDA error: misaligned address
pub-grammar-token | engine_bug | passes | xgrammar/matcher.py:accept_token | RuntimeError: [12:01:11] /project/cpp/grammar_matcher.cc:361: Check failed: (token_id >= 0 && token_id < vocab_size) is false: Invalid token id 151943 for GrammarMatcher
pub-msgspec | engine_bug | passes | vllm/v1/serial_utils.py:decode | msgspec.ValidationError: Expected `int`, got `float` - at `$[4][0]`
pub-ray-channel | worker_timeout peer_lost | passes | ray/experimental/channel/shared_memory_channel.py:read | ray.exceptions.RayChannelTimeoutError: System error: Timed out waiting for object available to read. ObjectID: 00be49c8
pub-tmp-compile-gone | file_missing compile_cache compiler_missing engine_bug | passes | torch/_inductor/codecache.py:write | FileNotFoundError: [Errno 2] No such file or directory: '/tmp/torchinductor_root/xe/tmp1a2b'
pub-ipc-gone | engine_bug file_missing | passes | vllm/distributed/device_communicators/shm_broadcast.py:acquire_read | FileNotFoundError: [Errno 2] No such file or directory: '/dev/shm/psm_3e0b363a'
pub-lora-file-gone | lora_unusable engine_bug file_missing | passes | vllm/lora/worker_manager.py:_load_adapter | safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered
pub-flashinfer-jit-serving | compiler_missing compile_failed broken_install engine_bug | passes | flashinfer/jit/cpp_ext.py:run_ninja | FileNotFoundError: [Errno 2] No such file or directory: 'ninja'
pub-import-serving | broken_install engine_bug | passes | vllm/model_executor/layers/rotary_embedding/common.py:dispatch_cos_sin | ModuleNotFoundError: No module named 'flash_attn'
pub-set-changed | engine_bug | passes | vllm/v1/core/kv_cache_coordinator.py:free | RuntimeError: Set changed size during iteration
pub-int32 | engine_bug | passes | vllm/v1/worker/gpu_input_batch.py:add_request | OverflowError: Python integer 4294967295 out of bounds for int32
pub-zero-division | engine_bug | passes | vllm/v1/spec_decode/metrics.py:log | ZeroDivisionError: division by zero
pub-dynamo-recompile | engine_bug compile_failed | passes | torch/_dynamo/convert_frame.py:_compile | torch._dynamo.exc.FailOnRecompileLimitHit: recompile_limit reached with fullgraph=True
pub-tokenizer-borrowed | engine_bug | passes | transformers/tokenization_utils_tokenizers.py:set_truncation_and_padding | RuntimeError: Already borrowed
pub-key-gone | engine_bug kv_transfer | passes | vllm/distributed/kv_transfer/kv_connector/v1/nixl/worker.py:_get_new_notifs | KeyError: 'cmpl-2f1c-0'
""",
        versions=NAMED,
    ),
)
