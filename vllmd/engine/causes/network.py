"""The network: the model hub, the engine's port, the GPUs that talk to each other."""

from vllmd.engine.causes.base import Cause, Kind, Rank

CAUSES = (
    Cause(
        name="model_gated",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation="The model's owner gives it to accounts that were granted access only.",
        advice=(
            "Accept the model's terms on its page and give the engine a token "
            "(/etc/vllmd/credentials/hf_token)."
        ),
        signatures=(
            r"GatedRepoError",
            r"Access to model .* is restricted",
            r"You are trying to access a gated repo",
            r"401 Client Error",
            r"403 Client Error",
        ),
    ),
    Cause(
        name="model_not_found",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation=(
            "The model is neither a folder on this host nor a repository that can be reached."
        ),
        advice="Correct model in the engine's configuration; a folder needs its absolute path.",
        signatures=(
            r"RepositoryNotFoundError",
            r"HFValidationError",
            r"is not a local folder and is not a valid model identifier",
            r"LocalEntryNotFoundError",
            r"OfflineModeIsEnabled",
            r"does not appear to have a file named config.json",
        ),
    ),
    Cause(
        name="port_in_use",
        kind=Kind.TRANSIENT,
        rank=Rank.HOST,
        explanation="Another process listens on the engine's port.",
        advice="End it (ss -ltnp names it) or give the engine another port.",
        signatures=(
            r"\[Errno 98\]",
            r"[Aa]ddress already in use",
        ),
    ),
    Cause(
        name="nccl_failure",
        kind=Kind.TRANSIENT,
        rank=Rank.WORK,
        explanation="The GPUs of the engine could not talk to each other in time.",
        advice=(
            "If it comes again, look at the kernel log (journalctl -k -g NVRM) and run the engine"
            " with NCCL_DEBUG=INFO in its env."
        ),
        signatures=(
            r"Watchdog caught collective operation timeout",
            r"NCCL error",
            r"ncclSystemError",
            r"ncclUnhandledCudaError",
            r"ncclRemoteError",
        ),
    ),
)
