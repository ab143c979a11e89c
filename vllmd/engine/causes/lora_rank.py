"""An adapter has a higher rank than the engine makes room for."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="lora_rank",
    kind=Kind.CONFIGURATION,
    explanation=(
        "A LoRA adapter (a small addition to the model) is larger, of a higher rank, than the "
        "engine was told to make room for."
    ),
    advice=(
        "Raise lora.max_lora_rank to the adapter's rank, or take the adapter out of lora.modules."
    ),
    signatures=(r"LoRA rank \d+ is greater than max_lora_rank",),
)
