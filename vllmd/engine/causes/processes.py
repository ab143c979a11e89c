"""The engine's processes: how they stood still and how they ended."""

from vllmd.engine.causes.base import Cause, Kind, Rank

CAUSES = (
    Cause(
        name="stalled",
        kind=Kind.TRANSIENT,
        rank=Rank.SEEN,
        explanation="The engine had work and made no progress, so it was killed.",
        advice=(
            "Its stacks and last lines are in the incident's folder, which the log names; the "
            "limits are liveness.stall_s and hang_s."
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
        name="worker_timeout",
        kind=Kind.TRANSIENT,
        rank=Rank.END,
        explanation="A process that drives a GPU for vLLM (a worker) did not answer in time.",
        advice=(
            "If it comes again, look at the kernel log (journalctl -k -g NVRM): failing GPU "
            "memory shows so first."
        ),
        signatures=(r"RPC call to .* timed out",),
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
        signatures=(r"[Ww]orker ?[Pp]roc \S+ died unexpectedly",),
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
        signatures=(
            r"engine core exited unexpectedly",
            r"Engine ?[Cc]ore .*died unexpectedly",
            r"EngineDeadError",
        ),
    ),
    Cause(
        name="killed",
        kind=Kind.OPERATOR,
        rank=Rank.END,
        explanation=(
            "A signal from outside ended it: a person, a script, or the kernel's OOM killer."
        ),
        advice="If nobody sent it, look for the OOM killer: journalctl -k -g oom.",
        signatures=(r"API server: shutdown triggered",),
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
        name="program_missing",
        kind=Kind.CONFIGURATION,
        rank=Rank.END,
        explanation=(
            "The engine's program is not there, or cannot be run by the user of the service."
        ),
        advice=(
            "Install vLLM ('vllmd engine install'), or set executable to its path; 'vllmd check' "
            "shows the whole command."
        ),
        signatures=(
            r"^shim of engine \S+: "
            r"(No such file or directory|Permission denied|Not a directory|Exec format error): ",
        ),
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
)
