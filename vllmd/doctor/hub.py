"""Can a model be had from the hub, and how large is it? Asked only for one to be downloaded."""

from collections.abc import Mapping
from typing import Any

import httpx

from vllmd.shim.files import parse_json
from vllmd.util.units import MIB

PUBLIC = "https://huggingface.co"
ASK_S = 5.0
NOT_ALLOWED = (401, 403)
MAX_CONFIG_BYTES = 4 * MIB


UNREACHABLE = "cannot be reached"


def problem(model: str, env: Mapping[str, str]) -> str | None:
    """Say why a model cannot be downloaded; None if it can.

    Source: the hub's API answers 401 for a gated or private model, and for one that is not there
    to those who gave no token.
    """
    endpoint, token = _endpoint(env), _token(env)
    url, headers = _request(model, env)
    try:
        answer = httpx.head(url, headers=headers, timeout=ASK_S)
    except httpx.InvalidURL as error:
        return f"HF_ENDPOINT {endpoint!r} is no address: {error}"
    except httpx.HTTPError as error:
        return f"{endpoint} {UNREACHABLE}: {error}"
    if answer.status_code in NOT_ALLOWED:
        gave = "the token that was given is not allowed to" if token else "no token was given"
        return f"the hub does not give it out: {gave}"
    if answer.status_code == httpx.codes.NOT_FOUND:
        return "the hub has no such model"
    return f"the hub answers {answer.status_code}" if answer.status_code >= 500 else None


def config_of(model: str, env: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a model's config.json, as the hub has it; an empty one if it cannot be had."""
    url, headers = _request(model, env)
    try:
        with httpx.stream(
            "GET", url, headers=headers, timeout=ASK_S, follow_redirects=True
        ) as answer:
            answer.raise_for_status()
            text = b""
            for part in answer.iter_bytes():
                text += part
                if len(text) > MAX_CONFIG_BYTES:
                    return {}
        found = parse_json(text)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _request(model: str, env: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    token = _token(env)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return f"{_endpoint(env)}/{model}/resolve/main/config.json", headers


def _endpoint(env: Mapping[str, str]) -> str:
    return (env.get("HF_ENDPOINT") or PUBLIC).rstrip("/")


def _token(env: Mapping[str, str]) -> str | None:
    return env.get("HF_TOKEN") or env.get("HUGGING_FACE_HUB_TOKEN")
