"""One line that chooses the provider: a paid API, or the engine beside it."""

import os
from typing import Any

from vllmd.client.interface import Client, ProviderError

PROVIDERS = ("openai", "anthropic", "vllm")
DEFAULT_MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5"}
"""Where none is named; of an engine it is its base model."""


def get_client(provider: str | None = None, *, model: str | None = None, **settings: Any) -> Client:
    """Return a client of a provider, or of the one that LLM_PROVIDER names.

    `model` is, without one, LLM_MODEL or the provider's default. `settings` go to the client: see
    `OpenAIClient`, `AnthropicClient`, `VLLMClient`; `tracker` is one of all of them.

    Raises: ProviderError: the provider is not known, its SDK is not installed, or it has no key.
    """
    name = (provider or os.environ.get("LLM_PROVIDER") or "").strip().lower()
    if name not in PROVIDERS:
        raise ProviderError(
            f"the provider is {name!r}: set LLM_PROVIDER, or give one of: {', '.join(PROVIDERS)}"
        )
    chosen = model or os.environ.get("LLM_MODEL") or DEFAULT_MODELS.get(name)
    try:
        if name == "anthropic":
            from vllmd.client.anthropic_client import AnthropicClient

            return AnthropicClient(chosen, **settings)
        if name == "openai":
            from vllmd.client.openai_client import OpenAIClient

            return OpenAIClient(chosen, **settings)
        from vllmd.client.vllm_client import VLLMClient

        return VLLMClient(chosen, **settings)
    except ImportError as error:
        raise ProviderError(
            f"{name} needs {error.name}: install vllmd with its extra 'client'"
        ) from error
