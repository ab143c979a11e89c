"""Arguments and configuration that vLLM does not take."""

from vllmd.engine.causes.base import Cause, Kind, Rank

CAUSES = (
    Cause(
        name="context_too_long",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation="max_model_len is larger than the context that the model was made for.",
        advice="Set max_model_len to at most the length that the evidence names, or leave it out.",
        signatures=(r"User-specified max_model_len .* is greater than",),
    ),
    Cause(
        name="lora_rank",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation=(
            "A LoRA adapter (a small addition to the model) is larger, of a higher rank, than the "
            "engine was told to make room for."
        ),
        advice=(
            "Raise lora.max_lora_rank to the adapter's rank, or take the adapter out of "
            "lora.modules."
        ),
        signatures=(r"LoRA rank \d+ is greater than max_lora_rank",),
    ),
    Cause(
        name="unknown_flag",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation=(
            "This version of vLLM does not know one of its flags, or does not take that value for "
            "it."
        ),
        advice=(
            "Correct the flag in the engine's configuration; 'vllm serve --help=all' lists what "
            "this version knows."
        ),
        signatures=(
            r"error: unrecognized arguments",
            r"error: argument --",
            r"error: ambiguous option",
        ),
    ),
    Cause(
        name="opentelemetry_missing",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation="vLLM is to send spans, and OpenTelemetry is not installed with it.",
        advice=(
            "Install opentelemetry-sdk and opentelemetry-exporter-otlp into vLLM's environment, or "
            "set traces = false for the engine."
        ),
        signatures=(r"OpenTelemetry is not available\. Unable to",),
    ),
)
