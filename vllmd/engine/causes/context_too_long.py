"""max_model_len is above what the model was made for."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="context_too_long",
    kind=Kind.CONFIGURATION,
    explanation="max_model_len is larger than the context that the model was made for.",
    advice="Set max_model_len to at most the length that the evidence names, or leave it out.",
    signatures=(r"User-specified max_model_len .* is greater than",),
)
