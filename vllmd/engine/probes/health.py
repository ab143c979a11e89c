"""Does the API answer? Says that the server is up, never that the engine makes progress."""

import httpx

TIMEOUT_S = 5.0


async def answers(client: httpx.AsyncClient, url: str) -> bool:
    """Ask `/health`.

    Returns: whether it answered 200 in time. A hung engine does too (seen, vLLM 0.25 and 0.32).
    """
    try:
        response = await client.get(f"{url}/health", timeout=TIMEOUT_S)
    except httpx.HTTPError:
        return False
    return response.status_code == httpx.codes.OK
