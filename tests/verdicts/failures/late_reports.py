"""Failures of many parts, as people report them: written last, and judged before any change."""

from tests.verdicts.failures.rows import rows
from tests.verdicts.model import NAMED, Phase, Who

NEWEST = ("0.25.1", "0.32.0", "0.33.0")

FAILURES = (
    *rows(
        Phase.CONFIGURATION,
        Who.API,
        """
late-hf-token-file | permission_denied | wall | huggingface_hub/utils/_auth.py:_get_token_from_file | PermissionError: [Errno 13] Permission denied: '/root/.cache/huggingface/token'
late-hf-offline-miss | model_not_found | wall | huggingface_hub/utils/_http.py:send | huggingface_hub.errors.OfflineModeIsEnabled: Cannot reach https://huggingface.co/acme/chat-8b/resolve/main/config.json: offline mode is enabled. To disable it, please unset the `HF_HUB_OFFLINE` environment variable.
late-hf-ssl | hub_unreachable | passes | requests/adapters.py:send | requests.exceptions.SSLError: HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded with url: /acme/chat-8b/resolve/main/config.json (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in certificate chain (_ssl.c:1000)')))
late-dtype-unknown | config_rejected | wall | vllm/config/model.py:_get_and_verify_dtype | ValueError: Unknown dtype: bf16
late-model-type-missing | unsupported_model weights_damaged | wall | transformers/models/auto/configuration_auto.py:from_pretrained | ValueError: Unrecognized model in /models/chat. Should have a `model_type` key in its config.json, or contain one of the following strings in its name: albert, align
late-served-name-twice | config_rejected unknown_flag | wall | vllm/entrypoints/openai/cli_args.py:validate_parsed_serve_args | TypeError: Error: --enable-auto-tool-choice requires --tool-call-parser
late-ssl-key | config_rejected file_missing permission_denied | wall | uvicorn/config.py:create_ssl_context | ssl.SSLError: [SSL] PEM lib (_ssl.c:3900)
late-no-cuda-torch | broken_install no_gpu | wall | torch/cuda/__init__.py:_lazy_init | AssertionError: Torch not compiled with CUDA enabled
late-pooling-runner | config_rejected unsupported_model | wall | vllm/config/model.py:__post_init__ | ValueError: This model does not support `--runner pooling`.
late-context-rope | context_too_long config_rejected | wall | vllm/config/model.py:_get_and_verify_max_len | ValueError: User-specified max_model_len (262144) is greater than the derived max_model_len (max_position_embeddings=131072 or model_max_length=None in model's config.json). This may lead to incorrect model outputs or CUDA errors.
late-batched-tokens | config_rejected | wall | vllm/config/scheduler.py:verify_max_model_len | ValueError: max_num_batched_tokens (2048) is smaller than max_model_len (32768). This effectively limits the maximum sequence length to max_num_batched_tokens and makes vLLM reject longer sequences. Please increase max_num_batched_tokens or decrease max_model_len.
late-dp-no-address | dist_unreachable config_rejected | either | vllm/utils/network_utils.py:get_ip | socket.gaierror: [Errno -2] Name or service not known
late-json-config | config_rejected unknown_flag | wall | vllm/engine/arg_utils.py:create_engine_config | json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
late-lmcache-missing | broken_install kv_transfer | wall | vllm/distributed/kv_transfer/kv_connector/v1/lmcache_connector.py:__init__ | ModuleNotFoundError: No module named 'lmcache'
late-mistral-common | broken_install | wall | vllm/tokenizers/mistral.py:<module> | ImportError: cannot import name 'ReasoningEffort' from 'mistral_common.protocol.instruct.request' (/opt/venv/lib/python3.12/site-packages/mistral_common/protocol/instruct/request.py)
""",
    ),
    *rows(
        Phase.LOADING,
        Who.WORKER,
        """
late-weights-missing-shard | weights_damaged | wall | safetensors/torch.py:load_file | FileNotFoundError: No such file or directory: "/models/chat/model-00003-of-00004.safetensors"
late-lfs-pointer | weights_damaged | wall | vllm/model_executor/model_loader/weight_utils.py:safetensors_weights_iterator | safetensors_rust.SafetensorError: Error while deserializing header: header too large
late-nfs-gone | storage_failed | passes | vllm/model_executor/model_loader/weight_utils.py:safetensors_weights_iterator | OSError: [Errno 116] Stale file handle: '/models/chat/model-00001-of-00004.safetensors'
late-mmap-memory | host_out_of_memory | either | vllm/model_executor/model_loader/weight_utils.py:safetensors_weights_iterator | OSError: [Errno 12] Cannot allocate memory
late-gpu-memory-load | cuda_out_of_memory | wall | vllm/model_executor/layers/linear.py:create_weights | torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 224.00 MiB. GPU 0 has a total capacity of 23.52 GiB of which 103.69 MiB is free. Including non-PyTorch memory, this process has 23.41 GiB memory in use. Of the allocated memory 22.93 GiB is allocated by PyTorch, and 81.42 MiB is reserved by PyTorch but unallocated.
late-moe-heads | parallel_misfit | wall | vllm/model_executor/layers/linear.py:__init__ | AssertionError: 5 is not divisible by 2
late-gptq-group | config_rejected parallel_misfit checkpoint_mismatch | wall | vllm/model_executor/layers/quantization/gptq.py:create_weights | ValueError: The input size is not aligned with the quantized weight shape. This can be caused by too large tensor parallel size.
late-weight-name | checkpoint_mismatch | wall | vllm/model_executor/models/utils.py:_load_module | ValueError: There is no module or parameter named 'language_model.lm_head' in Qwen3_5ForConditionalGeneration
late-bnb-shape | checkpoint_mismatch | wall | vllm/model_executor/layers/linear.py:weight_loader | AssertionError: Tried to load weights of size torch.Size([4096, 1])to a parameter of size torch.Size([6291456, 1])
late-exl2 | unsupported_model config_rejected | wall | vllm/model_executor/layers/quantization/__init__.py:get_quantization_config | ValueError: Invalid quantization method: exl2
late-no-safetensors | weights_damaged model_not_found | wall | vllm/model_executor/model_loader/default_loader.py:_prepare_weights | RuntimeError: Cannot find any model weights with `/models/chat`
late-remote-import | broken_install | wall | transformers/dynamic_module_utils.py:check_imports | ImportError: This modeling file requires the following packages that were not found in your environment: einops, timm. Run `pip install einops timm`
late-nccl-version | broken_install | wall | vllm/distributed/device_communicators/pynccl_wrapper.py:__init__ | AttributeError: /usr/lib/x86_64-linux-gnu/libnccl.so.2: undefined symbol: ncclCommWindowRegister
late-store-timeout | rendezvous_timeout dist_unreachable | passes | torch/distributed/rendezvous.py:_create_c10d_store | torch.distributed.DistStoreError: Timed out after 601 seconds waiting for clients. 1/2 clients joined.
late-master-address | dist_unreachable | passes | torch/distributed/rendezvous.py:_create_c10d_store | torch.distributed.DistNetworkError: The client socket has timed out after 600000ms while trying to connect to (10.0.0.2, 29500).
late-shm-workers | shm_too_small | wall | multiprocessing/shared_memory.py:__init__ | OSError: [Errno 28] No space left on device: '/psm_8a1b2c3d'
""",
        versions=NAMED,
    ),
    *rows(
        Phase.PROFILING,
        Who.WORKER,
        """
late-inductor-gcc | compiler_missing | wall | torch/_inductor/cpp_builder.py:get_cpp_compiler | torch._inductor.exc.InductorError: InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx: (None, 'g++')
late-dynamo-unsupported | engine_bug config_rejected unsupported_model compile_failed | wall | torch/_dynamo/exc.py:unimplemented | torch._dynamo.exc.Unsupported: Attempted to call function marked as skipped\\n  Explanation: Dynamo does not know how to trace the builtin `posix.stat`.
late-ptxas | gpu_unsupported driver_mismatch compiler_missing | wall | triton/backends/nvidia/compiler.py:make_cubin | triton.runtime.errors.PTXASError: PTXAS error: Internal Triton PTX codegen error\\n`ptxas` stderr:\\nptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'
late-cutlass | gpu_unsupported missing_kernels | wall | vllm/_custom_ops.py:cutlass_scaled_fp4_mm | RuntimeError: Error Internal: Failed to run cutlass FP4 gemm on sm120. Error: Error Internal
late-fa3-hopper | gpu_unsupported missing_kernels | wall | vllm/vllm_flash_attn/flash_attn_interface.py:flash_attn_varlen_func | RuntimeError: FlashAttention only supports Ampere GPUs or newer.
late-free-memory | vram_held | either | vllm/v1/worker/gpu_worker.py:init_device | ValueError: Free memory on device (10.92/23.52 GiB) on startup is less than desired GPU memory utilization (0.9, 21.17 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.
late-kv-needed | kv_cache_too_small | wall | vllm/v1/core/kv_cache_utils.py:check_enough_kv_cache_memory | ValueError: To serve at least one request with the models's max seq len (131072), (16.00 GiB KV cache is needed, which is larger than the available KV cache memory (8.52 GiB). Based on the available memory, the estimated maximum model length is 69776. Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when initializing the engine.
late-op-missing | broken_install missing_kernels | wall | torch/_ops.py:__getattr__ | AttributeError: '_OpNamespace' '_C' object has no attribute 'silu_and_mul_scaled_fp4_experts_quant'
late-triton-key | compile_cache | either | triton/runtime/cache.py:put | FileNotFoundError: [Errno 2] No such file or directory: '/root/.triton/cache/AB12/tmp.pid_402_77/kernel.cubin'
late-cudagraph-oom | cuda_out_of_memory | wall | vllm/v1/worker/gpu_model_runner.py:_dummy_sampler_run | RuntimeError: CUDA out of memory occurred when warming up sampler with 1024 dummy requests. Please try lowering `max_num_seqs` or `gpu_memory_utilization` when initializing the engine.
late-rocm-arch | missing_kernels gpu_unsupported | wall | aiter/ops/gemm.py:gemm_a8w8 | RuntimeError: HIP error: invalid device function\\nHIP kernel errors might be asynchronously reported at some other API call
""",
        versions=NAMED,
    ),
    *rows(
        Phase.SERVING,
        Who.CORE,
        """
late-sched-assert | engine_bug | passes | vllm/v1/core/sched/scheduler.py:update_from_output | AssertionError: num_new_tokens > 0
late-mm-cache | engine_bug | passes | vllm/multimodal/cache.py:get_and_update_item | AssertionError: Expected a cached item for mm_hash='77aa'
late-offload-assert | engine_bug | passes | vllm/v1/kv_offload/scheduler.py:update_state_after_alloc | AssertionError: request_id not in self._reqs_being_stored
late-illegal-address | cuda_error | passes | vllm/v1/worker/gpu_model_runner.py:execute_model | torch.AcceleratorError: CUDA error: an illegal memory access was encountered
late-oom-serving | cuda_out_of_memory | passes | vllm/model_executor/models/qwen2_5_vl.py:forward | torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.38 GiB. GPU 0 has a total capacity of 79.11 GiB of which 2.94 GiB is free. Process 211 has 76.16 GiB memory in use. Of the allocated memory 74.21 GiB is allocated by PyTorch
late-rpc-timeout | worker_timeout | passes | vllm/v1/executor/multiproc_executor.py:get_response | TimeoutError: RPC call to sample_tokens timed out.
late-nixl-handshake | kv_transfer engine_bug | passes | vllm/distributed/kv_transfer/kv_connector/v1/nixl/base_worker.py:_nixl_handshake | RuntimeError: NIXL handshake failed for engine decode-0
late-ecc | gpu_fault | wall | vllm/v1/worker/gpu_model_runner.py:execute_model | torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered
late-host-memory | host_out_of_memory | passes | vllm/v1/worker/gpu_input_batch.py:add_request | numpy._core._exceptions._ArrayMemoryError: Unable to allocate 2.00 GiB for an array with shape (4096, 131072) and data type int32
late-disk-full-serving | disk_full | wall | torch/_inductor/codecache.py:write_atomic | OSError: [Errno 28] No space left on device: '/root/.cache/vllm/torch_compile_cache/x.tmp'
""",
        versions=NAMED,
    ),
)
