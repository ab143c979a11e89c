"""Models in object stores (S3, GCS, Azure), Ray's clusters, and code that is compiled at a start."""

from tests.verdicts.failures.rows import rows
from tests.verdicts.model import NAMED, Phase, Who

FAILURES = (
    *rows(
        Phase.LOADING,
        Who.WORKER,
        """
runai-file-access | object_store model_not_found permission_denied hub_unreachable | either | runai_model_streamer/libstreamer/libstreamer.py:runai_request | ValueError: Could not send runai_request to libstreamer due to: b'File access error'
runai-no-s3 | object_store broken_install | wall | runai_model_streamer/libstreamer/libstreamer.py:runai_request | ValueError: Could not send runai_request to libstreamer due to: b'S3 not supported'
runai-response | object_store storage_failed hub_unreachable | either | runai_model_streamer/libstreamer/libstreamer.py:runai_response | ValueError: Could not receive runai_response from libstreamer due to: b'File access error'
runai-no-weights | weights_damaged model_not_found object_store | wall | vllm/model_executor/model_loader/runai_streamer_loader.py:_prepare_weights | RuntimeError: Cannot find any safetensors model weights with `s3://models/chat-8b`
""",
    ),
    *rows(
        Phase.CONFIGURATION,
        Who.API,
        """
s3-no-bucket | model_not_found object_store | wall | botocore/client.py:_make_api_call | botocore.errorfactory.NoSuchBucket: An error occurred (NoSuchBucket) when calling the ListObjectsV2 operation: The specified bucket does not exist
s3-head-forbidden | permission_denied model_gated object_store | wall | botocore/client.py:_make_api_call | botocore.exceptions.ClientError: An error occurred (403) when calling the HeadObject operation: Forbidden
s3-wrong-key | permission_denied model_gated object_store | wall | botocore/client.py:_make_api_call | botocore.exceptions.ClientError: An error occurred (InvalidAccessKeyId) when calling the ListObjectsV2 operation: The AWS Access Key Id you provided does not exist in our records.
s3-token-expired | permission_denied model_gated object_store | wall | botocore/client.py:_make_api_call | botocore.exceptions.ClientError: An error occurred (ExpiredToken) when calling the ListObjectsV2 operation: The provided token has expired.
s3-connect-timeout | hub_unreachable object_store | passes | botocore/httpsession.py:send | botocore.exceptions.ConnectTimeoutError: Connect timeout on endpoint URL: "https://models.s3.eu-west-1.amazonaws.com/?list-type=2&prefix=chat-8b%2F"
s3-slow-down | hub_unreachable object_store | passes | botocore/client.py:_make_api_call | botocore.exceptions.ClientError: An error occurred (SlowDown) when calling the GetObject operation (reached max retries: 4): Please reduce your request rate.
s3-no-region | config_rejected object_store | wall | botocore/regions.py:construct_endpoint | botocore.exceptions.NoRegionError: You must specify a region.
s3-partial-credentials | permission_denied config_rejected object_store model_gated | wall | botocore/credentials.py:_extract_creds_from_mapping | botocore.exceptions.PartialCredentialsError: Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY
gcs-no-credentials | permission_denied model_gated object_store | wall | google/auth/_default.py:default | google.auth.exceptions.DefaultCredentialsError: Your default credentials were not found. To set up Application Default Credentials, see https://cloud.google.com/docs/authentication/external/set-up-adc for more information.
gcs-forbidden | permission_denied model_gated object_store | wall | google/cloud/_http/__init__.py:api_request | google.api_core.exceptions.Forbidden: 403 GET https://storage.googleapis.com/storage/v1/b/models/o?projection=noAcl&prefix=chat-8b: serving@acme.iam.gserviceaccount.com does not have storage.objects.list access to the Google Cloud Storage bucket.
gcs-not-found | model_not_found object_store | wall | google/cloud/_http/__init__.py:api_request | google.api_core.exceptions.NotFound: 404 GET https://storage.googleapis.com/storage/v1/b/modles/o?projection=noAcl: The specified bucket does not exist.
gcs-unavailable | hub_unreachable object_store | passes | google/api_core/retry/retry_unary.py:retry_target | google.api_core.exceptions.ServiceUnavailable: 503 GET https://storage.googleapis.com/storage/v1/b/models/o: We encountered an internal error. Please try again.
azure-not-authorized | permission_denied model_gated object_store | wall | azure/core/exceptions.py:map_error | azure.core.exceptions.ClientAuthenticationError: Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.
azure-no-container | model_not_found object_store | wall | azure/core/exceptions.py:map_error | azure.core.exceptions.ResourceNotFoundError: The specified container does not exist.
boto-missing | broken_install | wall | vllm/utils/import_utils.py:__getattr__ | ImportError: Please install vllm[tensorizer,runai] for S3 support
ray-python-version | broken_install ray_resources | wall | ray/_private/worker.py:connect | RuntimeError: Version mismatch: The cluster was started with:\\n    Ray: 2.46.0\\n    Python: 3.12.11\\nThis process on node 10.0.0.3 was started with:\\n    Ray: 2.46.0\\n    Python: 3.12.9\\n
ray-no-instance | ray_resources dist_unreachable | either | ray/_private/services.py:canonicalize_bootstrap_address_or_die | ConnectionError: Could not find any running Ray instance. Please specify the one to connect to by setting `--address` flag or `RAY_ADDRESS` environment variable.
ray-no-node-address | ray_resources dist_unreachable | either | ray/_private/node.py:_get_node_ip_address_from_file | ValueError: Can't find a `node_ip_address.txt` file from /tmp/ray/session_2026-11-28_21-00-01_118_1. for 60 seconds. A ray instance hasn't started. Did you do `ray start` or `ray.init` on this host?
ray-gcs-timeout | ray_resources dist_unreachable | passes | ray/_private/gcs_utils.py:check_health | ray.exceptions.RpcError: Timed out while waiting for GCS to become available.
ray-worker-without-vllm | broken_install | wall | ray/_private/serialization.py:_deserialize_object | ray.exceptions.RaySystemError: System error: No module named 'vllm'\\ntraceback: Traceback (most recent call last):\\nModuleNotFoundError: No module named 'vllm'
ray-one-address | dist_unreachable ray_resources config_rejected | wall | vllm/v1/executor/ray_executor.py:_init_workers_ray | RuntimeError: Every node should have a unique IP address. Got 2 nodes with node ids ['a1', 'b2'] and 1 unique IP addresses {'10.0.0.2'}. Please check your network configuration. If you set `VLLM_HOST_IP` environment variable, make sure it is unique for each node.
ray-runtime-env | broken_install ray_resources | either | ray/_private/worker.py:get | ray.exceptions.RuntimeEnvSetupError: Failed to set up runtime environment.\\nCould not create the actor because its associated runtime env failed to be created.
""",
    ),
    *rows(
        Phase.PROFILING,
        Who.CORE,
        """
flashinfer-nvcc-too-old | compiler_missing gpu_unsupported | wall | flashinfer/jit/cpp_ext.py:run_ninja | RuntimeError: Ninja build failed. Ninja output:\\nninja: Entering directory `/root/.cache/flashinfer/0.6.4/120a/cached_ops'\\n[1/4] /usr/local/cuda/bin/nvcc --generate-dependencies-with-compile -c batch_decode.cu\\nFAILED: [code=1] batch_decode.cuda.o\\nnvcc fatal   : Unsupported gpu architecture 'compute_120a'\\nninja: build stopped: subcommand failed.
flashinfer-gcc-too-new | compiler_missing broken_install | wall | flashinfer/jit/cpp_ext.py:run_ninja | RuntimeError: Ninja build failed. Ninja output:\\n[1/9] /usr/local/cuda/bin/nvcc -c sampling.cu\\n/usr/local/cuda/include/crt/host_config.h:143:2: error: #error -- unsupported GNU version! gcc versions later than 13 are not supported!\\nninja: build stopped: subcommand failed.
flashinfer-no-architecture | gpu_unsupported compiler_missing | wall | flashinfer/compilation_context.py:get_nvcc_flags_list | RuntimeError: No supported CUDA architectures found for major versions [10].
flashinfer-download | hub_unreachable | passes | flashinfer/jit/cubin_loader.py:download_file | RuntimeError: Failed to download https://edge.urm.nvidia.com/artifactory/sw-kernelinferencelibrary-public-generic-local/1fddc48b/fmha/trtllm-gen/fmha_sm100.cubin after 4 attempts: HTTPSConnectionPool(host='edge.urm.nvidia.com', port=443): Max retries exceeded
flashinfer-no-backend | broken_install | wall | vllm/utils/flashinfer.py:_missing | RuntimeError: FlashInfer backend is not available. Please install the package to enable FlashInfer kernels: https://github.com/flashinfer-ai/flashinfer
flash-attn-head-dimension | config_rejected gpu_unsupported unsupported_model | wall | vllm/vllm_flash_attn/flash_attn_interface.py:flash_attn_varlen_func | RuntimeError: FlashAttention forward only supports head dimension at most 256
flash-attn-softcap | config_rejected gpu_unsupported missing_kernels unsupported_model | wall | vllm/vllm_flash_attn/flash_attn_interface.py:flash_attn_varlen_func | RuntimeError: This flash attention build does not support tanh softcapping.
deep-gemm-not-there | broken_install | wall | vllm/utils/deep_gemm.py:_missing | RuntimeError: DeepGEMM backend is unavailable in the current vLLM environment, or the available DeepGEMM package does not provide the required APIs for these kernels.
deep-gemm-nvcc | compiler_missing gpu_unsupported | wall | deep_gemm/__init__.py:fp8_gemm_nt | RuntimeError: Assertion error (csrc/apis/../jit/compiler.hpp:180): not nvcc_home.empty() and "NVCC compiler not found"
inductor-no-space | disk_full | wall | torch/_inductor/codecache.py:write_atomic | torch._inductor.exc.InductorError: OSError: [Errno 28] No space left on device: '/tmp/torchinductor_root/ab/tmp1'
""",
        versions=NAMED,
    ),
)
