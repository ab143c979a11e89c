"""The local engine: OpenAI's SDK with its address, its adapters, and patience while it restarts."""

import os
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

import openai

from vllmd.client.costs import CostTracker
from vllmd.client.interface import ProviderError
from vllmd.client.openai_client import OpenAIClient
from vllmd.client.retry import Refusal, RetryPolicy
from vllmd.client.tracing import trace_headers

T = TypeVar("T")
BASE_URL = "http://127.0.0.1:8000/v1"
NO_KEY = "EMPTY"
EXPORTER_PORT = 9840
PASSING = frozenset({429, 500, 502, 503, 504})
"""What an engine that ends, drains or starts answers; 500 is what one answers that has died."""


class VLLMClient(OpenAIClient):
    """A model, or one of its adapters, which is named as the model.

    Variables: VLLM_BASE_URL, VLLM_API_KEY, and VLLMD_READY_URL, where vllmd says whether the engine
    serves (``http://host:9840/ready/chat``); by default all engines of the same host.
    """

    provider = "vllm"

    def __init__(
        self,
        model: str | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        ready_url: str | None = None,
        wait_s: float = 60.0,
        timeout_s: float = 60.0,
        tracker: CostTracker | None = None,
    ) -> None:
        """Make a client that waits up to `wait_s` seconds for an engine that is on its way."""
        url = base_url or os.environ.get("VLLM_BASE_URL") or BASE_URL
        super().__init__(
            model,
            api_key=api_key or os.environ.get("VLLM_API_KEY") or NO_KEY,
            base_url=url,
            timeout_s=timeout_s,
            max_retries=0,
            tracker=tracker,
        )
        ready = ready_url or os.environ.get("VLLMD_READY_URL") or _ready_url(url)
        self._patience = RetryPolicy(wait_s, ready)

    def models(self) -> list[str]:
        """Return the base model's names and the adapters. Raises: ProviderError."""
        return [model.id for model in self._ask(self._sdk.models.list).data]

    def _default_model(self) -> str:
        """Take the base model, whatever its name is."""
        self.model = self.models()[0]
        return self.model

    def _headers(self, model: str) -> Mapping[str, str]:
        return trace_headers(model)

    def _call(self, ask: Callable[[], T]) -> T:
        try:
            return self._patience.call(ask, openai.OpenAIError, _refusal)
        except openai.NotFoundError as error:
            served = ", ".join(model.id for model in self._sdk.models.list().data)
            raise ProviderError(
                f"vllm: {error.message} There is: {served}; 'vllmd lora list' says why an adapter "
                "is not loaded",
                status=error.status_code,
            ) from error


def _refusal(error: openai.OpenAIError) -> Refusal | None:
    if isinstance(error, openai.APITimeoutError):
        return None  # it may be at work: asking again would only add to that
    if isinstance(error, openai.APIConnectionError):
        return Refusal()
    if isinstance(error, openai.APIStatusError) and error.status_code in PASSING:
        return Refusal(error.response.headers)
    return None


def _ready_url(base_url: str) -> str:
    host = urlsplit(base_url).hostname or "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{EXPORTER_PORT}/-/ready"
