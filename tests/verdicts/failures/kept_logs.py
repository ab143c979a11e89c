"""Failures of whole logs that people keep in public repositories: what reports leave out of them."""

from functools import partial

from tests.verdicts.failures.printed import printed
from tests.verdicts.failures.rows import rows
from tests.verdicts.model import DURING, NAMED, OLD, V1, Phase, Raised, Said, Who

_PASSES = Raised(
    "RuntimeError",
    "PassManager::run failed",
    "triton/backends/nvidia/compiler.py",
    "make_llir",
    "pm.run(mod)",
)
_SCRIPT = """The following operation failed in the TorchScript interpreter.
Traceback of TorchScript, serialized code (most recent call last):
  File "code/__torch__/neuronx_distributed/trace/spmd.py", line 17, in forward
    return (nxd_model).forward(_0, )
            ~~~~~~~~~~~~~~~~~~ <--- HERE
class NxDModel(Module):
  __parameters__ = []

Traceback of TorchScript, original code (most recent call last):
  File "neuronx_distributed/trace/spmd.py", line 32, in forward
            output = self.models[bucket_idx].forward(inputs)
                     ~~~~~~~~~~~~~~~~~~~~~~~ <--- HERE
RuntimeError: Failed to execute the model status=1006 message=Execution Out-Of-Bounds Memory Access"""


_printed = partial(printed, echoes=False)


def _refused(message: str) -> Said:
    """Return what a request is told that the model cannot answer: it ends no engine."""
    trace = (
        "Error in preprocessing prompt inputs\nTraceback (most recent call last):\n"
        '  File "vllm/entrypoints/openai/serving_chat.py", line 237, in create_chat_completion\n'
        f"    raise ValueError(\nValueError: {message}"
    )
    return Said(trace, Who.API, "ERROR", "serving_chat.py:257")


def _passed_on(message: str) -> Raised:
    """Return what the core says that a worker said."""
    return Raised(
        "RuntimeError",
        f"Worker failed with error '{message}', please check the stack trace above for the root "
        "cause",
        "vllm/v1/executor/multiproc_executor.py",
        "get_response",
    )


_STOPPED = (
    Said("Shutting down FastAPI HTTP server.", Who.API, "INFO", "launcher.py:101"),
    Said("INFO:     Shutting down"),
    Said("INFO:     Waiting for application shutdown."),
    Said("INFO:     Application shutdown complete."),
)
_OLD_DEATH = Said(
    "Worker VllmWorkerProcess pid 1159 died, exit code: -6",
    Who.CORE,
    "ERROR",
    "multiproc_worker_utils.py:120",
)
_SERVED = ("0.8.5", "0.9.1", "0.10.1", "0.11.0")
"""Of those that say in which way their web server ended."""

FAILURES = (
    _printed(
        "kept-llvm-rounding",
        Phase.PROFILING,
        "gpu_unsupported compile_failed",
        True,
        "LLVM ERROR",
        "Triton for an older GPU: LLVM's NVPTX, triton/backends/nvidia/compiler.py",
        Said("Unsupported conversion from f16 to f16", Who.CORE),
        Said("LLVM ERROR: Unsupported rounding mode for conversion.", Who.CORE),
        chain=(_PASSES,),
        echoes=True,
    ),
    _printed(
        "kept-llvm-select",
        Phase.WARM_UP,
        "gpu_unsupported compile_failed",
        True,
        "Cannot select",
        "Triton for an older GPU: LLVM's NVPTX, which ends the process",
        Said("LLVM ERROR: Cannot select: intrinsic %llvm.nvvm.shfl.sync.bfly.i32", Who.CORE),
        code=134,
    ),
    _printed(
        "kept-llvm-broken",
        Phase.WARM_UP,
        "crashed",
        None,
        "out of memory",
        "LLVM, of no GPU: it ends the process",
        Said("LLVM ERROR: out of memory", Who.CORE),
        code=134,
    ),
    _printed(
        "kept-passes",
        Phase.PROFILING,
        "gpu_unsupported compile_failed",
        True,
        "PassManager::run failed",
        "triton/backends/nvidia/compiler.py",
        Said(
            "vllm/attention/ops/triton_unified_attention.py:52:0: error: Failures have been "
            "detected while processing an MLIR pass pipeline",
            Who.CORE,
        ),
        chain=(_PASSES,),
        echoes=True,
    ),
    _printed(
        "kept-neuron",
        Phase.SERVING,
        "cuda_error crashed",
        False,
        "Failed to execute the model status=1006",
        "torch_neuronx, of AWS Neuron, under TorchScript",
        chain=(
            Raised(
                "RuntimeError",
                _SCRIPT,
                "neuronx_distributed_inference/model_wrapper.py",
                "_forward",
            ),
        ),
        echoes=True,
    ),
    _printed(
        "kept-slurm-cancelled",
        Phase.SERVING,
        "killed",
        False,
        "CANCELLED AT",
        "slurmstepd, of scancel",
        Said("slurmstepd: error: *** JOB 5930 ON gpu11 CANCELLED AT 2026-11-28T15:50:04 ***"),
        code=143,
    ),
    _printed(
        "kept-slurm-preempted",
        Phase.LOADING,
        "killed",
        False,
        "DUE TO PREEMPTION",
        "slurmstepd",
        Said(
            "slurmstepd: error: *** STEP 23859577.0 ON gpu-110 CANCELLED AT 2026-11-28T04:03:03 "
            "DUE TO PREEMPTION ***"
        ),
        code=143,
    ),
    _printed(
        "kept-slurm-memory",
        Phase.LOADING,
        "host_out_of_memory",
        None,
        "oom-kill",
        "slurmstepd 21 to 24",
        Said(
            "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=5654.0. Some of your "
            "processes may have been killed by the cgroup out-of-memory handler."
        ),
        code=137,
    ),
    _printed(
        "kept-stopped",
        Phase.SERVING,
        "killed",
        False,
        "Shutting down FastAPI",
        "vllm/entrypoints/launcher.py, of a signal",
        *_STOPPED,
        versions=_SERVED,
        code=0,
    ),
    _printed(
        "kept-stopped-after-requests",
        Phase.SERVING,
        "killed",
        False,
        "Shutting down FastAPI",
        "vllm/entrypoints/launcher.py, of a signal; a request had been refused long before",
        _refused(
            "As of transformers v4.44, default chat template is no longer allowed, so you must "
            "provide a chat template if the tokenizer does not define one."
        ),
        _refused("/models/llava-v1.5-13B-AWQ is not a multimodal model"),
        *_STOPPED,
        versions=_SERVED,
        code=0,
    ),
    _printed(
        "kept-stopped-without-a-word",
        Phase.SERVING,
        "killed",
        False,
        "Application shutdown complete",
        "uvicorn, of a signal; vLLM since 0.12 says nothing more",
        *_STOPPED[1:],
        code=0,
    ),
    _printed(
        "kept-old-watchdog",
        Phase.SERVING,
        "nccl_failure",
        False,
        "Watchdog caught collective",
        "torch before 2.4: ProcessGroupNCCL.cpp, after the death that it made",
        _OLD_DEATH,
        Said(
            "[rank0]:[E ProcessGroupNCCL.cpp:563] [Rank 0] Watchdog caught collective operation "
            "timeout: WorkNCCL(SeqNum=2, OpType=ALLREDUCE, Timeout(ms)=600000) ran for 600059 "
            "milliseconds before timing out."
        ),
        versions=OLD,
        code=0,
    ),
    _printed(
        "kept-heartbeat",
        Phase.SERVING,
        "nccl_failure",
        False,
        "Heartbeat monitor timed out",
        "torch before 2.4: ProcessGroupNCCL.cpp",
        _OLD_DEATH,
        Said(
            "[rank0]:[E ProcessGroupNCCL.cpp:1316] [PG 2 Rank 0] Heartbeat monitor timed out! "
            "Process will be terminated after dumping debug info. workMetaList_.size()=9"
        ),
        versions=OLD,
        code=0,
    ),
    _printed(
        "kept-tensile",
        Phase.PROFILING,
        "missing_kernels gpu_unsupported",
        True,
        "rocBLAS error",
        "ROCm: rocBLAS, which ends the process",
        Said(
            "rocBLAS error: Cannot read /opt/rocm/lib/rocblas/library/TensileLibrary.dat: Illegal "
            "seek for GPU arch : gfx1150",
            Who.CORE,
        ),
        echoes=True,
    ),
    _printed(
        "kept-actor",
        Phase.SERVING,
        "worker_died ray_resources",
        False,
        "ActorDiedError",
        "ray/exceptions.py; ray/dag/compiled_dag_node.py, while it takes the rest down",
        chain=(
            Raised(
                "ray.exceptions.ActorDiedError",
                "The actor died unexpectedly before finishing this task.",
                "ray/_private/worker.py",
                "get_objects",
            ),
            Raised(
                "ray.exceptions.GetTimeoutError",
                "Get timed out: some object(s) not ready.",
                "ray/dag/compiled_dag_node.py",
                "teardown",
                link=DURING,
            ),
        ),
        echoes=True,
    ),
    _printed(
        "kept-passed-on-memory",
        Phase.PROFILING,
        "cuda_out_of_memory",
        None,
        "CUDA out of memory",
        "vllm/v1/executor/multiproc_executor.py, where the worker's own lines are cut; srun",
        Said("srun: error: node4: task 0: Exited with exit code 1", Who.CORE),
        chain=(
            _passed_on("CUDA out of memory. Tried to allocate 896.00 MiB. GPU 0 has 95.00 GiB"),
        ),
        echoes=True,
    ),
    _printed(
        "kept-passed-on-header",
        Phase.PROFILING,
        "compiler_missing",
        True,
        "file not found",
        "vllm/v1/executor/multiproc_executor.py, of Ascend's compiler, which is clang",
        chain=(
            _passed_on(
                "The Inner error is reported as above.\n[ERROR] 2026-11-28-19:53:07 (PID:9, "
                "Device:0) ERR00100 PTA call acl api failed.\ntikcfw/kernel_macros.h:24:10: fatal "
                "error: 'cstdint' file not found\n1 error generated."
            ),
        ),
        echoes=True,
    ),
    _printed(
        "kept-passed-on-access",
        Phase.PROFILING,
        "cuda_error",
        False,
        "illegal memory access",
        "vllm/v1/executor/multiproc_executor.py, where the worker's own lines are cut",
        chain=(_passed_on("CUDA error: an illegal memory access was encountered"),),
        echoes=True,
    ),
    *rows(
        Phase.PROFILING,
        Who.WORKER,
        """
kept-index-shape | engine_bug unsupported_combination | either | vllm/v1/worker/gpu_model_runner.py:_prepare_inputs | RuntimeError: shape mismatch: value tensor of shape [5] cannot be broadcast to indexing result of shape [1, 8]
kept-config-part | unsupported_model broken_install | wall | transformers/configuration_utils.py:__getattribute__ | AttributeError: 'LlavaConfig' object has no attribute 'vision_config'
kept-ptxas | gpu_unsupported compiler_missing | wall | triton/backends/nvidia/compiler.py:make_cubin | subprocess.CalledProcessError: Command '['triton/backends/nvidia/bin/ptxas', '-lineinfo', '-v', '--gpu-name=sm_121a', '/tmp/tmpnt.ptx', '-o', '/tmp/tmpnt.ptx.o']' returned non-zero exit status 255.
kept-constructor | broken_install engine_bug unsupported_combination | wall | vllm/distributed/utils.py:stateless_init_torch_distributed_process_group | TypeError: __init__(): incompatible constructor arguments. The following argument types are supported:\\n    1. torch._C._distributed_c10d.ProcessGroup(arg0: int, arg1: int)
""",
        versions=NAMED,
    ),
    *rows(
        Phase.LOADING,
        Who.API,
        """
kept-harmony-line | weights_damaged hub_unreachable file_missing | either | openai_harmony/__init__.py:load_harmony_encoding | openai_harmony.HarmonyError: invalid tiktoken vocab file: expected token and rank, could not split on ' ' at line 1
kept-harmony-hash | weights_damaged hub_unreachable file_missing | either | openai_harmony/__init__.py:load_harmony_encoding | openai_harmony.HarmonyError: invalid tiktoken vocab file: hash mismatch: computed=e3b0c44298fc1c14, expected=446a9538cb6c348e
kept-numba | broken_install | wall | numba/__init__.py:_ensure_critical_deps | ImportError: Numba needs NumPy 2.2 or less. Got NumPy 2.4.
kept-extended | broken_install unsupported_model unsupported_combination | wall | transformers/tokenization_utils_base.py:__getattr__ | AttributeError: TokenizersBackend has no attribute all_special_tokens_extended. Did you mean: 'num_special_tokens_to_add'?
kept-subscript | broken_install engine_bug unsupported_combination | either | vllm/utils/network_utils.py:<module> | TypeError: type 'array.array' is not subscriptable
""",
        versions=V1,
    ),
)
