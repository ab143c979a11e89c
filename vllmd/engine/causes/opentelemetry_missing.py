"""vLLM is to send spans, and cannot: OpenTelemetry is not installed beside it."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="opentelemetry_missing",
    kind=Kind.CONFIGURATION,
    explanation="vLLM is to send spans, and OpenTelemetry is not installed with it.",
    advice=(
        "Install opentelemetry-sdk and opentelemetry-exporter-otlp into vLLM's environment, or set "
        "traces = false for the engine."
    ),
    signatures=(r"OpenTelemetry is not available\. Unable to",),
)
