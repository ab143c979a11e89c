"""vLLM's endpoints for adapters."""

from collections.abc import Mapping
from typing import Any

import attrs
import httpx

from vllmd.shim.files import parse_json

LIST_TIMEOUT_S = 5.0
LOAD_TIMEOUT_S = 300.0
"""Weights may come from a slow file server; the engine serves on meanwhile."""


class LoraApiError(Exception):
    """The engine did not do it; the message is vLLM's own. `absent` if it has no such endpoint."""

    def __init__(self, message: str, *, absent: bool = False) -> None:
        super().__init__(message)
        self.absent = absent


@attrs.frozen
class LoraApi:
    """One engine's adapters, by its API."""

    client: httpx.AsyncClient
    url: str
    key: str | None

    async def listed(self) -> Mapping[str, str]:
        """Return what is loaded: each adapter's name, and the path that it was loaded from.

        Raises: LoraApiError: the engine does not say.
        """
        answer = await self._ask("GET", "/v1/models", None, LIST_TIMEOUT_S)
        try:
            models = parse_json(answer.text)["data"]
            return {str(m["id"]): str(m["root"]) for m in models if m.get("parent") is not None}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LoraApiError(f"/v1/models is not what it should be: {error!r}") from None

    async def load(self, name: str, path: str, *, in_place: bool) -> None:
        """Load an adapter; `in_place` replaces the one of that name.

        Raises: LoraApiError.
        """
        body = {"lora_name": name, "lora_path": path, "load_inplace": in_place}
        await self._ask("POST", "/v1/load_lora_adapter", body, LOAD_TIMEOUT_S)

    async def unload(self, name: str) -> None:
        """Unload an adapter; requests that it is computing end as they would have.

        Raises: LoraApiError.
        """
        await self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": name}, LIST_TIMEOUT_S)

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None, timeout_s: float
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            answer = await self.client.request(
                method, f"{self.url}{path}", json=body, headers=headers, timeout=timeout_s
            )
        except httpx.TimeoutException:
            raise LoraApiError(f"no answer within {timeout_s:g} s") from None
        except httpx.HTTPError as error:
            raise LoraApiError(str(error) or repr(error)) from None
        if not answer.is_success:
            message, ours = _message(answer)
            raise LoraApiError(message, absent=answer.status_code in (404, 405) and not ours)
        return answer


def _message(answer: httpx.Response) -> tuple[str, bool]:
    """Return what a refusal says, and whether it is in vLLM's shape, not the web server's."""
    try:
        return str(parse_json(answer.text)["error"]["message"]), True
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}: {answer.text[:200]}", False
