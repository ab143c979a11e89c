"""Anthropic, by the official SDK."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import anthropic

from vllmd.client.costs import CostTracker
from vllmd.client.interface import Message, ProviderError, Reply, S, Stream, TokenUsage
from vllmd.client.sdk_client import SdkClient

MAX_TOKENS = 1024
"""Anthropic wants a limit; this is taken where none is given."""


class AnthropicClient(SdkClient):
    """Messages."""

    provider = "anthropic"
    errors = (anthropic.AnthropicError, ValueError, TypeError)
    """Without a key, the SDK says so with a TypeError."""
    status_error = anthropic.APIStatusError

    def __init__(
        self,
        model: str | None = None,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_s: float = 60.0,
        max_retries: int = 3,
        tracker: CostTracker | None = None,
    ) -> None:
        """Make a client; keys and addresses that are not given are those of the SDK's variables."""
        super().__init__(model, tracker)
        self._sdk = anthropic.Anthropic(
            api_key=api_key, base_url=base_url, timeout=timeout_s, max_retries=max_retries
        )

    def _asked(
        self,
        messages: Sequence[Message],
        model: str,
        max_tokens: int | None,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
        asked = {
            **options,
            "model": model,
            "max_tokens": max_tokens or MAX_TOKENS,
            "messages": [m for m in messages if m["role"] != "system"],
        }
        return {**asked, "system": system} if system else asked

    def _create(self, asked: Mapping[str, Any], schema: type[S] | None = None) -> Any:
        if schema is None:
            return self._sdk.messages.create(**asked)
        return self._sdk.messages.parse(**asked, output_format=schema)

    def _pieces(self, stream: Stream, asked: Mapping[str, Any]) -> Iterator[str]:
        manager = self._ask(lambda: self._sdk.messages.stream(**asked))
        events = self._ask(manager.__enter__)
        try:
            yield from events.text_stream
            stream.reply = self._counted(self._reply(events.get_final_message()))
        except anthropic.AnthropicError as error:
            raise ProviderError(f"anthropic: the answer was cut off: {error}") from error
        finally:
            manager.__exit__(None, None, None)

    def _reply(self, answer: Any) -> Reply:
        usage = answer.usage
        cached = usage.cache_read_input_tokens or 0
        written = usage.cache_creation_input_tokens or 0
        tokens = TokenUsage(usage.input_tokens + cached + written, usage.output_tokens, cached)
        text = "".join(block.text for block in answer.content if block.type == "text")
        return Reply(text, answer.model, self.provider, tokens, answer.stop_reason)

    def _parsed(self, answer: Any) -> Any:
        return answer.parsed_output
