"""Kinds that were seen among the unseen logs of 2025 and 2026, and were not known at first sight."""

from tests.verdicts.failures.cut_logs import cut
from tests.verdicts.failures.rows import rows
from tests.verdicts.model import V1, Failure, Phase, Said, Who

FAILURES: tuple[Failure, ...] = (
    *rows(
        Phase.INITIALIZATION,
        Who.WORKER,
        r"""
seen-npu-fork | fork_cuda | wall | torch_npu/npu/__init__.py:_lazy_init | RuntimeError: Cannot re-initialize NPU in forked subprocess. To use NPU with multiprocessing, you must use the 'spawn' start method
seen-no-numa-nodes | numa_refused config_rejected parallel_misfit | wall | vllm/v1/worker/cpu_worker.py:_get_autobind_cpu_ids | AssertionError: No enough allowed NUMA nodes to bind threads of 4 CPUWorkers. Allowed NUMA nodes are [0]. Please try to bind threads manually.
seen-gfx-behind | gpu_unsupported | wall | aiter/jit/utils/chip_info.py:get_gfx_custom_op_core | AssertionError: One of GPU archs of ['gfx1151'] is invalid or not supported
seen-torchao-version | broken_install checkpoint_mismatch | wall | torchao/core/config.py:config_from_dict | torchao.core.config.VersionMismatchError: Config version mismatch for Int4WeightOnlyConfig: stored version 1 != current version 2
seen-gloo-127-0-1-1 | gloo_loopback | either | torch/distributed/distributed_c10d.py:_new_process_group_helper | RuntimeError: Gloo connectFullMesh failed with [../third_party/gloo/gloo/transport/tcp/pair.cc:144] no error, Connection refused, remote=[127.0.1.1]:17308
""",
    ),
    *rows(
        Phase.ARGUMENTS,
        Who.API,
        r"""
seen-vllm-port-uri | config_rejected | wall | vllm/envs.py:get_vllm_port | ValueError: VLLM_PORT 'tcp://192.0.2.9:8000' appears to be a URI. This may be caused by a Kubernetes service discovery issue,check the warning in: https://docs.vllm.ai/en/stable/serving/env_vars.html
seen-tokenizer-mode | config_rejected | wall | vllm/tokenizers/registry.py:load_tokenizer_cls | ValueError: No tokenizer registered for tokenizer_mode='deepseek_v32'.
seen-aiter-arch | gpu_unsupported unsupported_combination | wall | aiter/jit/utils/chip_info.py:get_gfx_custom_op_core | KeyError: 'Unknown GPU architecture: gfx1101. Supported architectures: gfx90a, gfx942, gfx950'
seen-rope-part | config_rejected unsupported_model | wall | vllm/config.py:_get_and_verify_max_len | KeyError: 'original_max_position_embeddings'
seen-zmq-address | dist_unreachable config_rejected | either | vllm/utils/network_utils.py:make_zmq_socket | zmq.error.ZMQError: Cannot assign requested address (addr='tcp://192.0.2.9:13345')
seen-not-local | hub_unreachable | passes | huggingface_hub/file_download.py:_raise_on_head_call_error | huggingface_hub.errors.LocalEntryNotFoundError: Got: ConnectError: [SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol
""",
    ),
    *rows(
        Phase.WARM_UP,
        Who.CORE,
        r"""
seen-headdim-32 | missing_kernels gpu_unsupported | wall | vllm/model_executor/models/qwen2_5_vl.py:forward | RuntimeError: This flash attention build does not support headdim not being a multiple of 32.
seen-no-kernels-here | gpu_unsupported missing_kernels | wall | vllm/model_executor/layers/quantization/modelopt.py:__init__ | ValueError: FlashInfer kernels unavailable for ModelOptNvFp4FusedMoE on current platform
seen-metrics-twice | engine_bug config_rejected | either | prometheus_client/registry.py:register | ValueError: Duplicated timeseries in CollectorRegistry: {'vllm:kv_offload_total_bytes'}
""",
    ),
    *rows(
        Phase.SERVING,
        Who.WORKER,
        r"""
seen-acl-sync | cuda_error gpu_fault | either | vllm_ascend/worker/model_runner_v1.py:execute_model | RuntimeError: ACL stream synchronize failed, error code:507018
""",
    ),
    cut(
        "seen-shut-down-in-order",
        "unknown",
        False,
        "",
        "vllm/v1/engine/core.py 0.20 to 0.25, core_client.py: a script that ran to its end",
        Said("Processed prompts: 100%|██████████| 4/4 [00:03<00:00,  1.20it/s]"),
        Said("Shutdown initiated (timeout=0)", Who.CORE, "INFO", "core.py:1201"),
        Said("Shutdown complete", Who.CORE, "INFO", "core.py:1224"),
        Said(
            "Engine core proc EngineCore died unexpectedly, shutting down client.",
            Who.API,
            "ERROR",
            "core_client.py:704",
        ),
        versions=V1,
    ),
)
