"""Failures from issues that one exception does not tell: chains, and lines of libraries and hosts."""

from tests.verdicts.model import DURING, NAMED, OLD, Failure, Phase, Raised, Said, Who, failure


def _printed(
    name: str,
    phase: Phase,
    who: Who,
    causes: str,
    hold: bool | None,
    words: str,
    *lines: str,
    versions: tuple[str, ...] = NAMED,
    code: int | None = None,
    echoes: bool = True,
) -> Failure:
    said = tuple(Said(line, who) for line in lines)
    return failure(
        name,
        phase,
        who,
        causes,
        hold,
        words,
        "a library, the host",
        said=said,
        versions=versions,
        exit_code=code,
        echoes=echoes,
    )


FAILURES = (
    _printed(
        "issue-xformers-print",
        Phase.PROFILING,
        Who.CORE,
        "missing_kernels gpu_unsupported",
        True,
        "no kernel image",
        "CUDA error (/__w/xformers/third_party/flash-attention/hopper/flash_fwd_launch_template.h:175): "
        "no kernel image is available for execution on the device",
    ),
    _printed(
        "issue-llvm-error",
        Phase.PROFILING,
        Who.CORE,
        "crashed gpu_unsupported missing_kernels",
        None,
        "LLVM ERROR",
        "LLVM ERROR: Failed to compute parent layout for slice layout.",
    ),
    _printed(
        "issue-triton-assert",
        Phase.PROFILING,
        Who.CORE,
        "crashed gpu_unsupported",
        None,
        "Assertion",
        "python3: /project/lib/Analysis/Allocation.cpp:47: std::pair<llvm::SmallVector<unsigned>> "
        "mlir::triton::getCvtOrder(mlir::Attribute): Assertion `!(srcMmaLayout && dstMmaLayout && "
        '!srcMmaLayout.isAmpere()) && "mma -> mma layout conversion is only supported on Ampere"\' failed.',
    ),
    _printed(
        "issue-libcxxabi",
        Phase.LOADING,
        Who.CORE,
        "crashed",
        None,
        "terminating due to uncaught exception",
        "libc++abi: terminating due to uncaught exception of type std::__1::system_error: Broken pipe",
    ),
    _printed(
        "issue-raylet",
        Phase.INITIALIZATION,
        Who.API,
        "ray_resources peer_lost dist_unreachable",
        None,
        "Unable to register worker with raylet",
        "2026-11-28 16:11:50,396\tINFO worker.py:1752 -- Started a local Ray instance.",
        "[2026-11-28 16:11:51,588 E 13261 13261] core_worker.cc:228: Failed to register worker "
        "01000000ffffffffffffffff to Raylet. IOError: [RayletClient] Unable to register worker with "
        "raylet. No such file or directory",
        echoes=False,
    ),
    _printed(
        "issue-serve-tail",
        Phase.ARGUMENTS,
        Who.API,
        "unknown_flag",
        True,
        "unrecognized arguments",
        "usage: vllm serve [model_tag] [options]",
        "vllm: error: unrecognized arguments: -f",
        code=2,
        echoes=False,
    ),
    _printed(
        "issue-not-in-path",
        Phase.ARGUMENTS,
        Who.API,
        "program_missing",
        True,
        "executable file not found",
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc "
        'create failed: unable to start container process: error during container init: exec: "vllm": '
        "executable file not found in $PATH: unknown",
        code=128,
        echoes=False,
    ),
    failure(
        "issue-no-workers",
        Phase.LOADING,
        Who.WORKER,
        "nccl_failure",
        False,
        "unhandled cuda error",
        "vllm/v1/executor/multiproc_executor.py",
        Raised(
            "RuntimeError",
            "NCCL error: unhandled cuda error (run with NCCL_DEBUG=INFO for details)",
            "vllm/distributed/device_communicators/pynccl_wrapper.py",
            "NCCL_CHECK",
        ),
        Raised(
            "AttributeError",
            "'MultiprocExecutor' object has no attribute 'workers'",
            "vllm/v1/executor/multiproc_executor.py",
            "shutdown",
            link=DURING,
        ),
        versions=NAMED,
    ),
    failure(
        "issue-unpickled",
        Phase.PROFILING,
        Who.WORKER,
        "compiler_missing compile_failed",
        True,
        "Failed to find C compiler",
        "torch/_dynamo/exc.py",
        Raised(
            "torch._dynamo.exc.BackendCompilerFailed",
            "backend='<vllm.compilation.backends.VllmBackend object at 0x7f2a>' raised:\n"
            "RuntimeError: Failed to find C compiler. Please specify via CC environment variable.",
            "torch/_dynamo/output_graph.py",
            "_call_user_compiler",
        ),
        Raised(
            "TypeError",
            "BackendCompilerFailed.__init__() missing 1 required positional argument: 'inner_exception'",
            "multiprocessing/queues.py",
            "get",
            link=DURING,
        ),
        versions=NAMED,
    ),
    failure(
        "issue-mm-limits",
        Phase.PROFILING,
        Who.WORKER,
        "engine_bug unsupported_model unsupported_combination",
        None,
        "mm_limits",
        "vllm/multimodal/registry.py",
        Raised(
            "KeyError",
            "'Cannot find `mm_limits` for model=/models/baichuan. Did you forget to call "
            "`init_mm_limits_per_prompt`?'",
            "vllm/multimodal/registry.py",
            "__getitem__",
        ),
        Raised(
            "RuntimeError",
            "The error occurred during profile run. This might be due to insufficient GPU memory. "
            "Consider decreasing `max_model_len` to limit the maximum simultaneously processed tokens.",
            "vllm_openvino/worker/openvino_worker.py",
            "determine_num_available_blocks",
        ),
        versions=OLD,
    ),
    failure(
        "issue-never-retrieved",
        Phase.SERVING,
        Who.CORE,
        "engine_bug",
        False,
        "expected running sequences",
        "vllm/engine/output_processor/multi_step.py",
        Raised(
            "AssertionError",
            "expected running sequences",
            "vllm/engine/output_processor/multi_step.py",
            "process_outputs",
        ),
        versions=OLD,
    ),
)
