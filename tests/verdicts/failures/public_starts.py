"""Starts that failed, as people report them in public: settings, packages, the hub, the host."""

from tests.verdicts.failures.rows import rows
from tests.verdicts.model import NAMED, Phase, Who

FAILURES = (
    *rows(
        Phase.CONFIGURATION,
        Who.API,
        r"""
pub-tiktoken-convert | weights_damaged broken_install model_not_found | wall | transformers/convert_slow_tokenizer.py:convert_slow_tokenizer | ValueError: Converting from Tiktoken failed, if a converter for SentencePiece is available, provide a model path with a SentencePiece tokenizer.model file.Currently available slow->fast convertors: ['AlbertTokenizer', 'BartTokenizer']
pub-media-path | config_rejected file_missing | wall | vllm/multimodal/media/connector.py:__init__ | ValueError: Invalid `--allowed-local-media-path`: The path /data/media must be a directory.
pub-rope-keys | weights_damaged config_rejected checkpoint_mismatch unsupported_model | wall | transformers/modeling_rope_utils.py:_check_received_keys | KeyError: "Missing required keys in `rope_parameters` for 'rope_type'='yarn': {'factor'}"
pub-wsl-nvml | driver_mismatch no_gpu gpu_unsupported | wall | vllm/third_party/pynvml.py:_nvmlCheckReturn | vllm.third_party.pynvml.NVMLError_NotSupported: Not Supported
pub-dict-config | config_rejected engine_bug | wall | vllm/config/vllm.py:__post_init__ | AttributeError: 'dict' object has no attribute 'is_kv_transfer_instance'
pub-config-field | broken_install unsupported_model checkpoint_mismatch weights_damaged engine_bug | wall | transformers/configuration_utils.py:__getattribute__ | AttributeError: 'Qwen3Config' object has no attribute 'rope_theta'
pub-numba-cache | permission_denied | wall | numba/core/caching.py:_guard_against_spurious_io_errors | RuntimeError: cannot cache function '_nonzero_mask': no locator available for file '/usr/local/lib/python3.12/dist-packages/vllm/v1/spec_decode/ngram_proposer.py'
pub-host-not-ours | config_rejected port_in_use dist_unreachable address_unavailable | either | asyncio/base_events.py:create_server | OSError: [Errno 99] error while attempting to bind on address ('10.20.0.9', 8000): cannot assign requested address
pub-low-port | permission_denied config_rejected | wall | asyncio/base_events.py:create_server | PermissionError: [Errno 13] error while attempting to bind on address ('0.0.0.0', 80): permission denied
pub-port-range | config_rejected unknown_flag | wall | vllm/entrypoints/openai/api_server.py:create_server_socket | OverflowError: bind(): port must be 0-65535.
pub-ipc-path-long | config_rejected | wall | zmq/sugar/socket.py:bind | zmq.error.ZMQError: ipc path "/data/projects/inference/teams/acme/very/long/runtime/tmp/vllm/rpc/0f4c1a0e-4a6e-4a44-9d2e-7f1b6f0a0b1c" is longer than 107 characters (sizeof(sockaddr_un.sun_path)). zmq.IPC_PATH_MAX_LEN constant can be used to check addr length (if it is defined).
pub-unix-path-long | config_rejected | wall | multiprocessing/connection.py:__init__ | OSError: AF_UNIX path too long
pub-proxy-407 | hub_unreachable | either | requests/adapters.py:send | requests.exceptions.ProxyError: HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded with url: /acme/chat-8b/resolve/main/config.json (Caused by ProxyError('Unable to connect to proxy', OSError('Tunnel connection failed: 407 Proxy Authentication Required')))
pub-socks-missing | broken_install hub_unreachable config_rejected | wall | requests/adapters.py:SOCKSProxyManager | requests.exceptions.InvalidSchema: Missing dependencies for SOCKS support.
pub-proxy-scheme | config_rejected hub_unreachable | wall | httpx/_config.py:__init__ | ValueError: Unknown scheme for proxy URL URL('socks://127.0.0.1:1080/')
pub-timeseries-twice | engine_bug broken_install | wall | prometheus_client/registry.py:register | ValueError: Duplicated timeseries in CollectorRegistry: {'vllm:num_requests_running', 'vllm:num_requests_waiting'}
pub-dp-local | config_rejected parallel_misfit | wall | vllm/config/parallel.py:_validate_parallel_config | ValueError: data_parallel_size_local (16) must be <= data_parallel_size (8)
pub-eplb-without-ep | config_rejected | wall | vllm/config/parallel.py:_validate_parallel_config | ValueError: enable_expert_parallel must be True to use EPLB.
pub-mm-batch | config_rejected | wall | vllm/v1/core/encoder_cache_manager.py:compute_mm_encoder_budget | ValueError: Chunked MM input disabled but max_tokens_per_mm_item (16384) is larger than max_num_batched_tokens (8192). Please increase max_num_batched_tokens.
pub-hub-416 | hub_unreachable weights_damaged | either | huggingface_hub/utils/_http.py:hf_raise_for_status | huggingface_hub.errors.HfHubHTTPError: 416 Client Error: Requested Range Not Satisfiable for url: https://cas-bridge.xethub.hf.co/xet-bridge-us/6421/resolve
pub-max-images | config_rejected unknown_flag | wall | vllm/engine/arg_utils.py:create_engine_config | TypeError: MultiModalConfig.__init__() got an unexpected keyword argument 'max_pixels'
pub-locale | config_rejected broken_install | wall | encodings/__init__.py:search_function | UnicodeEncodeError: 'ascii' codec can't encode character '\u2588' in position 7: ordinal not in range(128)
pub-service-port | config_rejected | wall | vllm/envs.py:get_vllm_port | ValueError: VLLM_PORT 'tcp://10.152.183.2:8000' appears to be a URI. This may be caused by a Kubernetes service discovery issue,check the warning in: https://docs.vllm.ai/en/stable/serving/env_vars.html
pub-no-home | user_unknown permission_denied config_rejected | wall | pathlib.py:home | RuntimeError: Could not determine home directory.
pub-repo-disabled | model_gated model_not_found | wall | huggingface_hub/utils/_http.py:hf_raise_for_status | huggingface_hub.errors.DisabledRepoError: 403 Client Error. (Request ID: Root=1-6890)\n\nCannot access repository for url https://huggingface.co/acme/chat-8b/resolve/main/config.json.\nAccess to this resource is disabled.
pub-no-flock | storage_failed permission_denied | wall | filelock/_unix.py:_acquire | NotImplementedError: FileSystem does not appear to support flock; use SoftFileLock instead
pub-lock-timeout | storage_failed hub_unreachable | passes | filelock/_api.py:acquire | filelock._error.Timeout: The file lock '/root/.cache/huggingface/hub/.locks/models--acme--chat-8b/4f2a.lock' could not be acquired.
pub-link-loop | model_not_found file_missing storage_failed weights_damaged | wall | vllm/transformers_utils/repo_utils.py:file_or_path_exists | OSError: [Errno 40] Too many levels of symbolic links: '/models/chat/config.json'
pub-not-a-folder | model_not_found file_missing config_rejected storage_failed weights_damaged | wall | transformers/utils/hub.py:cached_files | NotADirectoryError: [Errno 20] Not a directory: '/models/chat.safetensors/config.json'
pub-v1-unsupported | config_rejected | wall | vllm/engine/arg_utils.py:_raise_or_fallback | NotImplementedError: VLLM_USE_V1=1 is not supported with --kv-cache-dtype.
pub-xpu-none | no_gpu | wall | torch/xpu/__init__.py:_lazy_init | RuntimeError: No XPU devices are available.
pub-amdsmi | no_gpu driver_mismatch permission_denied | wall | amdsmi/amdsmi_interface.py:_check_res | amdsmi.amdsmi_exception.AmdSmiLibraryException: Error code:\n\t34 | AMDSMI_STATUS_NOT_INIT - Device not initialized
pub-no-cuda-link | broken_install no_gpu | wall | torch/cuda/__init__.py:get_device_properties | RuntimeError: PyTorch is not linked with support for cuda devices
pub-config-cls-name | engine_bug broken_install | wall | vllm/transformers_utils/configs/chat.py:<module> | NameError: name 'Qwen2_5_VLConfig' is not defined
""",
        versions=NAMED,
    ),
    *rows(
        Phase.IMPORTS,
        Who.API,
        """
pub-protobuf | broken_install | wall | google/protobuf/descriptor.py:__new__ | TypeError: Descriptors cannot be created directly.
pub-libgl | broken_install | wall | cv2/__init__.py:<module> | ImportError: libGL.so.1: cannot open shared object file: No such file or directory
pub-torchvision-cuda | broken_install | wall | torchvision/extension.py:_check_cuda_version | RuntimeError: Detected that PyTorch and torchvision were compiled with different CUDA major versions. PyTorch has CUDA Version=12.8 and torchvision has CUDA Version=13.0. Please reinstall the torchvision that matches your PyTorch install.
pub-nms-missing | broken_install | wall | torch/library.py:register_fake | RuntimeError: operator torchvision::nms does not exist
pub-aiter-glibcxx | broken_install | wall | aiter/jit/core.py:get_module | ImportError: /lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.31' not found (required by /usr/local/lib/python3.12/dist-packages/aiter/jit/module_aiter_enum.so)
pub-metadata | broken_install | wall | importlib/metadata/__init__.py:from_name | importlib.metadata.PackageNotFoundError: No package metadata was found for The 'tqdm>=4.27' distribution was not found and is required by this application.
pub-hub-version | broken_install | wall | transformers/utils/versions.py:_compare_versions | ImportError: huggingface-hub>=1.5.0,<2.0 is required for a normal functioning of this module, but found huggingface-hub==0.36.0.
pub-pythonpath | broken_install | wall | vllm/__init__.py:<module> | ModuleNotFoundError: No module named 'vllm._version'
pub-null-bytes | broken_install | wall | importlib/_bootstrap.py:<module> | SyntaxError: source code string cannot contain null bytes
pub-pyc-short | broken_install | wall | importlib/_bootstrap_external.py:_compile_bytecode | EOFError: marshal data too short
pub-circular | broken_install | wall | transformers/__init__.py:<module> | ImportError: cannot import name 'PreTrainedModel' from partially initialized module 'transformers' (most likely due to a circular import) (/app/transformers.py)
pub-elf-header | broken_install | wall | torch/__init__.py:_load_global_deps | OSError: /opt/venv/lib/python3.12/site-packages/torch/lib/libtorch_global_deps.so: invalid ELF header
pub-tls-block | broken_install | wall | sklearn/__check_build/__init__.py:<module> | ImportError: /opt/venv/lib/python3.12/site-packages/scikit_learn.libs/libgomp-d22c30c5.so.1.0.0: cannot allocate memory in static TLS block
""",
        versions=NAMED,
    ),
    *rows(
        Phase.ARGUMENTS,
        Who.API,
        r"""
pub-config-is-folder | file_missing config_rejected | wall | vllm/utils/argparse_utils.py:load_config_file | IsADirectoryError: [Errno 21] Is a directory: '/config/vllm.yaml'
pub-config-yaml | config_rejected unknown_flag file_missing | wall | yaml/scanner.py:fetch_value | yaml.scanner.ScannerError: mapping values are not allowed here\n  in "/config/vllm.yaml", line 3, column 12
""",
        versions=NAMED,
    ),
)
