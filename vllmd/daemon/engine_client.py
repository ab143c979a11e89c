"""The HTTP client by which the daemon asks engines."""

import httpx

from vllmd.daemon.plain_transport import PlainTransport

TIMEOUT_S = 5.0


def engine_client() -> httpx.AsyncClient:
    """Make it. A page that is asked for never waits for other requests to be answered.

    With a bound (httpx has 100) it would, behind those that an engine under load answers late: one
    token for each data parallel rank of a large group, canaries, probes. Each of these is bounded
    by who asks.
    """
    return httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S, transport=PlainTransport())
