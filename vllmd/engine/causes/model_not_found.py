"""Neither a folder nor a repository of that name."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="model_not_found",
    kind=Kind.CONFIGURATION,
    explanation="The model is neither a folder on this host nor a repository that can be reached.",
    advice="Correct model in the engine's configuration; a folder needs its absolute path.",
    signatures=(
        r"RepositoryNotFoundError",
        r"HFValidationError",
        r"is not a local folder and is not a valid model identifier",
        r"LocalEntryNotFoundError",
        r"OfflineModeIsEnabled",
        r"does not appear to have a file named config.json",
    ),
)
