"""Can a model be had from the hub? Asked only for one that would have to be downloaded."""

from collections.abc import Mapping

import httpx

PUBLIC = "https://huggingface.co"
ASK_S = 5.0
NOT_ALLOWED = (401, 403)


def problem(model: str, env: Mapping[str, str]) -> str | None:
    """Say why a model cannot be downloaded; None if it can.

    Source: the hub's API answers 401 for a gated or private model, and for one that is not there
    to those who gave no token.
    """
    endpoint = (env.get("HF_ENDPOINT") or PUBLIC).rstrip("/")
    token = env.get("HF_TOKEN") or env.get("HUGGING_FACE_HUB_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"{endpoint}/{model}/resolve/main/config.json"
    try:
        answer = httpx.head(url, headers=headers, timeout=ASK_S)
    except httpx.InvalidURL as error:
        return f"HF_ENDPOINT {endpoint!r} is no address: {error}"
    except httpx.HTTPError as error:
        return f"{endpoint} cannot be reached: {error}"
    if answer.status_code in NOT_ALLOWED:
        gave = "the token that was given is not allowed to" if token else "no token was given"
        return f"the hub does not give it out: {gave}"
    if answer.status_code == httpx.codes.NOT_FOUND:
        return "the hub has no such model"
    return f"the hub answers {answer.status_code}" if answer.status_code >= 500 else None
