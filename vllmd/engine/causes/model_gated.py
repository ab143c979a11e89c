"""The model is there, but not for everybody."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="model_gated",
    kind=Kind.CONFIGURATION,
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
)
