"""The HTTP client by which the daemon asks engines."""

import httpx

TIMEOUT_S = 5.0
KEPT_OPEN = 20


def engine_client() -> httpx.AsyncClient:
    """Make it. A page that is asked for never waits for other requests to be answered.

    With a bound (httpx has 100) it would, behind those that an engine under load answers late: one
    token for each data parallel rank of a large group, canaries, probes. Each of these is bounded
    by who asks.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT_OPEN)
    return httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S, limits=limits)
