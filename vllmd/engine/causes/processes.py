"""The engine's processes: how they stood still and how they ended."""

import re

from vllmd.engine.causes.base import Cause, Found, Frame, Kind, Rank, Told

_HOW = {
    "-9": "killed (SIGKILL), as the kernel's OOM killer does",
    "-15": "asked to end (SIGTERM)",
    "-11": "ended by a memory access violation (SIGSEGV)",
    "-6": "ended by an abort (SIGABRT)",
    "-7": "ended by a bus error (SIGBUS)",
}


def _worker(found: Found) -> Told:
    code = re.search(r"exit ?code: (-?\d+)", found.whole)
    how = _HOW.get(code[1]) if code else None
    if how is None:
        return Told()
    return Told(explanation=f"A process that drives a GPU for vLLM (a worker) was {how}.")


def _late(found: Found) -> Told:
    if "engine core processes" not in found.whole:
        return Told()
    return Told(
        "Set VLLM_ENGINE_READY_TIMEOUT_S in the engine's env to more seconds; look whether "
        "the model's "
        "storage or the hub is slow.",
        "The engine's processes were not ready in the time that vLLM gives them.",
    )


def _crashed(found: Found) -> Told:
    if re.search(r"Bus error|SIGBUS|-7\b", found.whole):
        return Told(
            "A bus error is mostly shared memory that is full (docker: --shm-size=8g or "
            "--ipc=host) or "
            "a file that was cut off while it was read; look at df /dev/shm and 'journalctl -k'."
        )
    return Told()


CAUSES = (
    Cause(
        name="stalled",
        kind=Kind.TRANSIENT,
        rank=Rank.SEEN,
        explanation="The engine had work and made no progress, so it was killed.",
        advice=(
            "Its stacks and last lines are in the incident's folder, which the log names; the "
            "limits are liveness.gpu_stall_s, stall_s and hang_s."
        ),
        marks=frozenset({"stalled"}),
    ),
    Cause(
        name="load_stalled",
        kind=Kind.TRANSIENT,
        rank=Rank.SEEN,
        explanation="The engine stood still while it was loading, so it was killed.",
        advice=(
            "Look whether the model's file system or the model hub answers; the limit is"
            " liveness.load_stall_s."
        ),
        marks=frozenset({"load_stalled"}),
    ),
    Cause(
        name="group_lost",
        kind=Kind.TRANSIENT,
        rank=Rank.SEEN,
        explanation="Another host's part of this model was lost, and none of it serves without the "
        "others, so it was ended here, too.",
        advice=(
            "Look at the host that is named: whether it is up, its network, 'vllmd why' there. The "
            "group starts again as soon as all of its hosts answer."
        ),
        marks=frozenset({"group_lost"}),
    ),
    Cause(
        name="wake_failed",
        kind=Kind.TRANSIENT,
        rank=Rank.SEEN,
        explanation="vLLM refused to fall asleep or to wake, and what its memory holds then is not "
        "known, so it was killed.",
        advice=(
            "Its log has the reason; mostly another process took the GPU memory that it gave back "
            "('vllmd gpu'), or the host had none for its weights (sleep.level = 2 needs none)."
        ),
        marks=frozenset({"sleep_failed", "wake_failed"}),
    ),
    Cause(
        name="wrong_answers",
        kind=Kind.TRANSIENT,
        rank=Rank.SEEN,
        explanation="Its answers were not those that were recorded, asked three times, and probe."
        "on_mismatch is restart, so it was ended.",
        advice=(
            "If they are wrong again after this start, a GPU ('vllmd gpu'), the model's files or "
            "this version of vLLM is the cause: 'vllmd probe' shows what differs, and 'vllmd probe "
            "--record' takes the new answers for right ones."
        ),
        marks=frozenset({"wrong_answers"}),
    ),
    Cause(
        name="worker_timeout",
        kind=Kind.TRANSIENT,
        rank=Rank.BROAD,
        explanation="A process that drives a GPU for vLLM (a worker) did not answer in time.",
        advice=(
            "If it comes again, look at the kernel log (journalctl -k -g NVRM): failing GPU "
            "memory shows so first."
        ),
        signs={
            r"RPC call to .* timed out": "vllm/v1/executor/multiproc_executor.py since 0.8",
            r"Timed out waiting for engine core processe"
            r"s": "vllm/v1/engine/core_client.py since 0.12",
            r"RayChannelTimeoutError|ray\.exceptions\.GetTimeoutError": "ray/exceptions.py",
            r"Engine iteration timed out": "vllm/engine/async_llm_engine.py 0.4 to 0.10",
            r"No heartbeat received from": "vllm/engine/multiprocessing/client.py 0.6 to 0.10",
        },
        frames=(
            Frame(
                r"vllm/(?:v1/)?(?:engine|executor)/\S*:(?:_log_task_completion|run_engine_loop"
                r"|get_response|collective_rpc)$",
                r"^(?:\S*\.)?TimeoutError\b",
                "vllm/engine/async_llm_engine.py 0.4 to 0.10, v1/executor/multiproc_executor.py",
            ),
            Frame(
                r"vllm/distributed/device_communicators/shm_broadcast\.py:",
                r"^(?:\S*\.)?TimeoutError\b",
                "vllm/distributed/device_communicators/shm_broadcast.py since 0.6",
                raised=True,
            ),
        ),
        told=_late,
    ),
    Cause(
        name="worker_died",
        kind=Kind.TRANSIENT,
        rank=Rank.BROAD,
        explanation="A process that drives a GPU for vLLM (a worker of Ray) was killed or crashed.",
        advice="If nobody killed it, look for the OOM killer of its host: journalctl -k -g oom.",
        signs={r"ActorDiedError|WorkerCrashedError|RayActorError": "ray/exceptions.py"},
    ),
    Cause(
        name="program_missing",
        kind=Kind.CONFIGURATION,
        rank=Rank.BROAD,
        explanation=(
            "The engine's program is not there, or cannot be run by the user of the service."
        ),
        after_serving="Its words are of a start: what served before them was another run.",
        advice=(
            "Install vLLM ('vllmd engine install'), or set executable to its path; 'vllmd check' "
            "shows the whole command."
        ),
        signs={
            r"^shim of engine \S+: "
            r"(?:No such file or directory|Permission denied|Not a directory"
            r"|Exec format error): ": ("vllmd/shim/main.py"),
            r"vllm: (?:command )?not found|executable file not found": (
                "the shell, a container's runtime"
            ),
            r": No module named vllm$|can't open file '": "Python",
        },
    ),
    Cause(
        name="program_missing",
        kind=Kind.CONFIGURATION,
        rank=Rank.END,
        explanation="A program of the engine's command is not there, or cannot be executed.",
        after_serving="Its words are of a start: what served before them was another run.",
        advice=(
            "Correct the command, or install what the evidence names; 'vllmd check' shows the "
            "whole command."
        ),
        signs={
            r"^(?:\S*/)?env: .*: No such file or directory$|: bad interpreter: "
            r"|cannot execute(?: binary file)?: ": "the shell, env",
            r"^\S*sh: (?:(?:line )?\d+: )?\S+: Permission denied$": "the shell",
        },
    ),
    Cause(
        name="engine_bug",
        kind=Kind.TRANSIENT,
        rank=Rank.END,
        explanation="An exception that vLLM does not handle ended the engine while it served.",
        advice=(
            "If it comes again, look for it in vLLM's issues, and try another version, or without "
            "the feature that its traceback names."
        ),
    ),
    Cause(
        name="worker_died",
        kind=Kind.TRANSIENT,
        rank=Rank.END,
        explanation=(
            "A process that drives a GPU for vLLM (a worker) was killed or crashed; the rest of "
            "vLLM ended after it, with exit code 0 as a rule."
        ),
        advice="If nobody killed it, look for the kernel's OOM killer: journalctl -k -g oom.",
        signs={
            r"[Ww]orker ?[Pp]roc \S+ died unexpectedly": (
                "vllm/v1/executor/multiproc_executor.py since 0.8"
            ),
            r"Worker \S+ pid \d+ died, exit code": (
                "vllm/executor/multiproc_worker_utils.py 0.4 to 0.10"
            ),
            r"A worker died or was killed": "Ray",
        },
        unless=r"exit ?code: -(?:4|7|8|11)\b",
        told=_worker,
    ),
    Cause(
        name="crashed",
        kind=Kind.TRANSIENT,
        rank=Rank.END,
        explanation="A process of the engine crashed in native code (a library, a driver, a "
        "kernel).",
        advice=(
            "If it comes again, set PYTHONFAULTHANDLER=1 in its env, which prints where; try "
            "another "
            "version of vLLM, or enforce_eager."
        ),
        signs={
            r"Segmentation fault|Segfault encountered|Bus error|Floating point exception": (
                "the shell, Python's faulthandler"
            ),
            r"Fatal Python error|\bAborted\b|panicked at": "Python, the shell, Rust",
            r"terminate called|terminating due to uncaught": "C++: GNU's and LLVM's library",
            r"^LLVM ERROR: |: Assertion [`'].*' failed": "LLVM (of Triton); the C library",
            r"double free or corruption|free\(\): |malloc\(\): |corrupted size vs": "the C library",
            r"Illegal instruction|SIGILL|trap invalid opcode": "the shell, the kernel",
            r"segfault at [0-9a-f]+ ip|general protection fault|trap divide error": "the kernel",
            r"Failed core proc\(s\): .*: -(?:4|6|7|8|11)\b": "vllm/v1/engine/utils.py since 0.9",
            r"exit ?code: -(?:4|6|7|8|11)\b": (
                "vllm/v1/executor/multiproc_executor.py, executor/multiproc_worker_utils.py"
            ),
        },
        labels=frozenset({"SIGSEGV", "SIGBUS", "SIGFPE", "SIGABRT", "SIGILL"}),
        told=_crashed,
    ),
    Cause(
        name="engine_core_died",
        kind=Kind.TRANSIENT,
        rank=Rank.END,
        explanation=(
            "The part of vLLM that computes (its process EngineCore) was killed or crashed without "
            "a word; vLLM's web server ended after it, with exit code 0 as a rule."
        ),
        advice="If nobody killed it, look for the kernel's OOM killer: journalctl -k -g oom.",
        signs={
            r"engine core exited unexpectedly": "vllm/v1/engine/core_client.py since 0.30",
            r"Engine ?[Cc]ore .*died unexpectedly": "vllm/v1/engine/core_client.py 0.9 to 0.29",
            r"Failed core proc\(s\): .*: (?:-(?:9|15)|0)\b": "vllm/v1/engine/utils.py since 0.9",
            r"EngineDeadError": "vllm/v1/engine/exceptions.py since 0.8",
            r"MQLLMEngine is already dead|MQEngineDeadError|Engine loop has died"
            r"|Engine process \(pid \d+\) died": ("vllm/engine/multiprocessing 0.6 to 0.10"),
        },
        said={r"engine core exited unexpectedly": "vllm/v1/engine/core_client.py since 0.30"},
    ),
    Cause(
        name="killed",
        kind=Kind.OPERATOR,
        rank=Rank.END,
        explanation=(
            "A signal from outside ended it: a person, a script, or the kernel's OOM killer."
        ),
        advice="If nobody sent it, look for the OOM killer: journalctl -k -g oom.",
        signs={
            r"^KeyboardInterrupt\b|\bKilled\b|^SystemExit\b": "Python, the shell",
            r"\*\*\* (?:JOB|STEP) \S+ ON \S+ CANCELLED AT ": "Slurm",
        },
        said={
            r"code=killed, status=(?:9/KILL|15/TERM)": "systemd",
            r"API server: shutdown triggered": "vllm/entrypoints/launchers/launcher.py since 0.11",
            r"Shutting down FastAPI HTTP server": (
                "vllm/entrypoints/launcher.py 0.5 to 0.2x, of a task that its handler of signals "
                "cancelled"
            ),
            r"[Rr]eceived signal (?:15|2)\b|[Rr]eceived SIG(?:TERM|INT)"
            r"|KeyboardInterrupt: terminated": ("vllm, Ray"),
            r"^Application shutdown complete\.$": "uvicorn, where nothing failed before",
        },
        labels=frozenset({"SIGKILL", "SIGTERM", "SIGINT"}),
    ),
    Cause(
        name="shim_lost",
        kind=Kind.OPERATOR,
        rank=Rank.END,
        explanation="The process beside the engine was killed, so nobody saw how the engine ended.",
        advice="If nobody killed it, look for the OOM killer: journalctl -k -g oom.",
        labels=frozenset({"shim_lost"}),
    ),
    Cause(
        name="not_started",
        kind=Kind.TRANSIENT,
        rank=Rank.END,
        explanation="The process beside the engine could not be started.",
        advice=(
            "The end of the last run names what failed; the service manager's journal may say more."
        ),
        labels=frozenset({"spawn_failed"}),
    ),
    Cause(
        name="member_ended",
        kind=Kind.TRANSIENT,
        rank=Rank.END,
        explanation=(
            "A member without a web server (headless) ended and said nothing: one of its processes "
            "was killed, or the head went away."
        ),
        advice="Look at the head first; restart it and its members together.",
        said={
            r"'headless': True|engine\(s\) in headless mode|headless multiproc executor": (
                "vllm/entrypoints/cli/serve.py, utils.py: non-default args, since 0.9"
            ),
        },
        labels=frozenset(),
    ),
)
