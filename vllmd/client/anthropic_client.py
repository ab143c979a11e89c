"""Anthropic, by the official SDK."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import anthropic

from vllmd.client.costs import CostTracker
from vllmd.client.interface import Message, ProviderError, Reply, S, Stream, TokenUsage

T = TypeVar("T")
MAX_TOKENS = 1024
"""Anthropic wants a limit; this is taken where none is given."""


class AnthropicClient:
    """Messages."""

    provider = "anthropic"

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
        self.model = model
        self._tracker = tracker
        self._sdk = anthropic.Anthropic(
            api_key=api_key, base_url=base_url, timeout=timeout_s, max_retries=max_retries
        )

    def chat(
        self,
        messages: Sequence[Message],
        *,
        model: str | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> Reply:
        """Return the answer to a conversation. Raises: ProviderError."""
        asked = self._asked(messages, model, max_tokens, options)
        return self._replied(self._ask(lambda: self._sdk.messages.create(**asked)))

    def stream(
        self,
        messages: Sequence[Message],
        *,
        model: str | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> Stream:
        """Return the answer to a conversation piece by piece."""
        asked = self._asked(messages, model, max_tokens, options)
        return Stream(lambda stream: self._pieces(stream, asked))

    def structured(
        self,
        messages: Sequence[Message],
        schema: type[S],
        *,
        model: str | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> S:
        """Return an answer that is an object of `schema`. Raises: ProviderError."""
        asked = self._asked(messages, model, max_tokens, options)
        answer = self._ask(lambda: self._sdk.messages.parse(**asked, output_format=schema))
        self._replied(answer)
        if answer.parsed_output is None:
            raise ProviderError(
                f"anthropic gave no {schema.__name__}: it ended with {answer.stop_reason}"
            )
        parsed: S = answer.parsed_output
        return parsed

    def _asked(
        self,
        messages: Sequence[Message],
        model: str | None,
        max_tokens: int | None,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        name = model or self.model
        if name is None:
            raise ProviderError("anthropic: name a model, as an argument or by LLM_MODEL")
        system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
        asked = {
            **options,
            "model": name,
            "max_tokens": max_tokens or MAX_TOKENS,
            "messages": [m for m in messages if m["role"] != "system"],
        }
        return {**asked, "system": system} if system else asked

    @staticmethod
    def _ask(ask: Callable[[], T]) -> T:
        try:
            return ask()
        except anthropic.APIStatusError as error:
            raise ProviderError(
                f"anthropic answered {error.status_code}: {error.message}", status=error.status_code
            ) from error
        except (anthropic.AnthropicError, ValueError, TypeError) as error:
            # without a key, the SDK says so with a TypeError
            raise ProviderError(f"anthropic: {error}") from error

    def _pieces(self, stream: Stream, asked: Mapping[str, Any]) -> Iterator[str]:
        manager = self._ask(lambda: self._sdk.messages.stream(**asked))
        events = self._ask(manager.__enter__)
        try:
            yield from events.text_stream
            stream.reply = self._replied(events.get_final_message())
        except anthropic.AnthropicError as error:
            raise ProviderError(f"anthropic: the answer broke off: {error}") from error
        finally:
            manager.__exit__(None, None, None)

    def _replied(self, answer: Any) -> Reply:
        usage = answer.usage
        cached = usage.cache_read_input_tokens or 0
        written = usage.cache_creation_input_tokens or 0
        tokens = TokenUsage(usage.input_tokens + cached + written, usage.output_tokens, cached)
        text = "".join(block.text for block in answer.content if block.type == "text")
        reply = Reply(text, answer.model, self.provider, tokens, answer.stop_reason)
        if self._tracker is not None:
            self._tracker.add(reply)
        return reply
