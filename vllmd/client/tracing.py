"""Headers by which a request's span is known to be of its adapter, and of the caller's trace."""

import re
import secrets

from opentelemetry import trace

_VALUE = re.compile(r"[ -+\--<>-~]{0,255}[!-+\--<>-~]")
"""Source: W3C Trace Context, a value of `tracestate`."""


def trace_headers(model: str) -> dict[str, str]:
    """Return `traceparent` and `tracestate` for one request.

    They go on with the span under way, if there is one; a model whose name cannot be written there
    is left out, and its span counts as of an unknown adapter.
    """
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        others = [f"{key}={value}" for key, value in context.trace_state.items() if key != "vllmd"]
    else:
        parent, others = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01", []
    headers = {"traceparent": parent}
    own = [f"vllmd={model}"] if _VALUE.fullmatch(model) else []
    if states := [*own, *others]:
        headers["tracestate"] = ",".join(states)
    return headers
