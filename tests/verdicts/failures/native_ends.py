"""Ends that native code, the kernel or a node tells of, and exceptions of modules and wrappers."""

from tests.verdicts.failures.printed import printed
from tests.verdicts.model import (
    DURING,
    NAMED,
    OLD,
    V1,
    Phase,
    Raised,
    Said,
    Who,
    failure,
)

_LOST = Raised(
    "TimeoutError",
    "RPC call to execute_model timed out.",
    "vllm/v1/executor/multiproc_executor.py",
    "get_response",
)

FAILURES = (
    printed(
        "watchdog-in-spring",
        Phase.SERVING,
        "nccl_failure",
        False,
        "atchdog caught collective",
        "torch: ProcessGroupNCCL.cpp; c10's logger writes the month without a zero",
        "[rank1]:[E304 21:05:41.105213311 ProcessGroupNCCL.cpp:629] [Rank 1] Watchdog caught "
        "collective operation timeout: WorkNCCL(SeqNum=7, OpType=BROADCAST, Timeout(ms)=600000) ran "
        "for 600011 milliseconds before timing out.",
        "terminate called after throwing an instance of 'c10::DistBackendError'",
        chain=(_LOST,),
    ),
    printed(
        "watchdog-saw-a-kernel",
        Phase.SERVING,
        "cuda_error",
        False,
        "misaligned address",
        "torch: ProcessGroupNCCL.cpp",
        "[rank0]:[E712 21:05:41.512390118 ProcessGroupNCCL.cpp:2068] [PG ID 2 PG GUID 3 Rank 0] "
        "Process group watchdog thread terminated with exception: CUDA error: misaligned address",
        "terminate called after throwing an instance of 'c10::DistBackendError'",
    ),
    printed(
        "kernel-saw-an-instruction",
        Phase.LOADING,
        "cpu_unsupported",
        True,
        "trap invalid opcode",
        "the kernel: arch/x86/kernel/traps.c",
        "traps: vllm[811] trap invalid opcode ip:7f1 sp:7ff error:0 in _C.abi3.so[7f0+12f]",
    ),
    printed(
        "rocm-without-code",
        Phase.LOADING,
        "missing_kernels gpu_unsupported",
        True,
        "hipErrorNoBinaryForGpu",
        "ROCm: clr/hipamd/src/hip_fatbin.cpp",
        '"hipErrorNoBinaryForGpu: Unable to find code object for all current devices!"',
    ),
    printed(
        "pod-evicted-for-its-disk",
        Phase.SERVING,
        "disk_full",
        None,
        "ephemeral-storage",
        "Kubernetes: kubelet, of kubectl describe",
        "Warning  Evicted  3m  kubelet  The node was low on resource: ephemeral-storage. "
        "Threshold quantity: 1, available: 0.",
        code=137,
        echoes=False,
    ),
    printed(
        "head-went-away",
        Phase.SERVING,
        "peer_lost member_ended",
        False,
        "[c10d] recvValue failed",
        "torch: TCPStore.cpp",
        "[rank9]:[W1128 21:05:41.905768298 TCPStore.cpp:125] [c10d] recvValue failed on "
        "SocketImpl(fd=9): Failed to recv, got 0 bytes. Connection was likely closed.",
        code=1,
        echoes=False,
    ),
    printed(
        "toolkit-asks-for-a-driver",
        Phase.ARGUMENTS,
        "driver_mismatch",
        True,
        "unsatisfied condition",
        "NVIDIA's container toolkit: libnvidia-container/src/cli/common.c",
        "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8, please update "
        "your driver to a newer version",
        versions=("0.19.0", "0.25.1"),
        code=125,
        echoes=False,
    ),
    failure(
        "compiled-graph-corrupted",
        Phase.PROFILING,
        Who.CORE,
        "compile_cache",
        None,
        "checksum does not match",
        "torch/utils/_appending_byte_serializer.py",
        Raised(
            "torch._dynamo.exc.BackendCompilerFailed",
            "backend='<vllm.compilation.backends.VllmBackend object at 0x7f01>' raised:\n"
            "RuntimeError: Bytes object is corrupted, checksum does not match. Expected: b'a'",
            "torch/utils/_appending_byte_serializer.py",
            "to_list",
        ),
        versions=("0.10.1", "0.11.0", "0.19.0"),
    ),
    failure(
        "config-class-known-twice",
        Phase.IMPORTS,
        Who.API,
        "broken_install",
        True,
        "is already used by a Transformers config",
        "transformers/models/auto/configuration_auto.py, register",
        Raised(
            "ValueError",
            "'acme_vl' is already used by a Transformers config, pick another name.",
            "vllm/transformers_utils/configs/acme.py",
            "<module>",
        ),
        versions=V1,
    ),
    failure(
        "kv-layouts-of-two-engines",
        Phase.SERVING,
        Who.CORE,
        "kv_transfer",
        None,
        "block sizes",
        "vllm/distributed/kv_transfer/kv_connector/v1/nixl",
        Raised(
            "RuntimeError",
            "The block sizes of prefill (16) and decode (64) instances differ",
            "vllm/distributed/kv_transfer/kv_connector/v1/nixl_connector.py",
            "add_remote_agent",
        ),
        versions=NAMED,
    ),
    failure(
        "full-before-anything-was-loaded",
        Phase.INITIALIZATION,
        Who.CORE,
        "cuda_out_of_memory vram_held",
        False,
        "CUDA error: out of memory",
        "torch: c10/cuda/CUDAException.cpp, of the first tensor",
        Raised(
            "torch.AcceleratorError",
            "CUDA error: out of memory",
            "vllm/platforms/cuda.py",
            "set_device",
        ),
        versions=NAMED,
    ),
    failure(
        "ray-actor-died-while-read",
        Phase.SERVING,
        Who.CORE,
        "worker_died peer_lost",
        False,
        "actor died",
        "ray/exceptions.py",
        Raised(
            "ray.exceptions.RayChannelError", "System error: Channel closed.", "ray/x.py", "read"
        ),
        Raised(
            "ray.exceptions.ActorDiedError",
            "The actor died unexpectedly before finishing this task.",
            "ray/x.py",
            "get",
            link=DURING,
        ),
        versions=NAMED,
    ),
    failure(
        "engine-process-died-old",
        Phase.SERVING,
        Who.API,
        "engine_core_died",
        False,
        "Engine process (pid 77) died",
        "vllm/engine/multiprocessing/client.py 0.6 to 0.10",
        said=(
            Said(
                "RuntimeError('Engine process (pid 77) died.')", Who.API, "ERROR", "client.py:282"
            ),
            Said("NoneType: None", Who.API, "ERROR", "client.py:282"),
            Said(
                "MQLLMEngine is already dead, terminating server process",
                Who.API,
                "CRITICAL",
                "launcher.py:99",
            ),
        ),
        versions=OLD,
        exit_code=0,
        echoes=False,
    ),
)
