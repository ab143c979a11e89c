"""OpenAI, and whoever speaks as it does, by the official SDK."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import openai

from vllmd.client.costs import CostTracker
from vllmd.client.interface import Message, ProviderError, Reply, S, Stream, TokenUsage

T = TypeVar("T")


class OpenAIClient:
    """Chat completions."""

    provider = "openai"

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
        """Make a client; keys and addresses that are not given are those of the SDK's variables.

        Raises: ProviderError: there is no key.
        """
        self.model = model
        self._tracker = tracker
        try:
            self._sdk = openai.OpenAI(
                api_key=api_key, base_url=base_url, timeout=timeout_s, max_retries=max_retries
            )
        except openai.OpenAIError as error:
            raise ProviderError(f"{self.provider}: {error}") from error

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
        answer = self._ask(lambda: self._sdk.chat.completions.create(**asked))
        choice = answer.choices[0]
        return self._replied(
            choice.message.content or "", answer.model, answer.usage, choice.finish_reason
        )

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
        about = {"stream": True, "stream_options": {"include_usage": True}}
        return Stream(lambda stream: self._pieces(stream, {**asked, **about}))

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
        answer = self._ask(
            lambda: self._sdk.chat.completions.parse(**asked, response_format=schema)
        )
        choice = answer.choices[0]
        self._replied(
            choice.message.content or "", answer.model, answer.usage, choice.finish_reason
        )
        if choice.message.parsed is None:
            reason = choice.message.refusal or f"it ended with {choice.finish_reason}"
            raise ProviderError(f"{self.provider} gave no {schema.__name__}: {reason}")
        parsed: S = choice.message.parsed
        return parsed

    # --- what differs from one provider to the next --------------------------------------------

    def _default_model(self) -> str:
        """Return the model to ask where none is named. Raises: ProviderError: there is none."""
        raise ProviderError(f"{self.provider}: name a model, as an argument or by LLM_MODEL")

    def _headers(self, model: str) -> Mapping[str, str]:
        """Return what is sent along with a request to a model."""
        del model
        return {}

    def _call(self, ask: Callable[[], T]) -> T:
        """Send a request; the SDK tries again as it sees fit."""
        return ask()

    # --- what does not -------------------------------------------------------------------------

    def _asked(
        self,
        messages: Sequence[Message],
        model: str | None,
        max_tokens: int | None,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        name = model or self.model or self._default_model()
        headers = {**self._headers(name), **options.get("extra_headers", {})}
        asked = {**options, "model": name, "messages": list(messages), "extra_headers": headers}
        return asked if max_tokens is None else {**asked, "max_completion_tokens": max_tokens}

    def _ask(self, ask: Callable[[], T]) -> T:
        try:
            return self._call(ask)
        except openai.APIStatusError as error:
            raise ProviderError(
                f"{self.provider} answered {error.status_code}: {error.message}",
                status=error.status_code,
            ) from error
        except (openai.OpenAIError, ValueError) as error:
            raise ProviderError(f"{self.provider}: {error}") from error

    def _pieces(self, stream: Stream, asked: Mapping[str, Any]) -> Iterator[str]:
        chunks = self._ask(lambda: self._sdk.chat.completions.create(**asked))
        texts: list[str] = []
        model, usage, reason = str(asked["model"]), None, None
        try:
            for chunk in chunks:
                model, usage = chunk.model or model, chunk.usage or usage
                for choice in chunk.choices:
                    reason = choice.finish_reason or reason
                    if choice.delta.content:
                        texts.append(choice.delta.content)
                        yield choice.delta.content
        except openai.OpenAIError as error:
            raise ProviderError(f"{self.provider}: the answer broke off: {error}") from error
        if reason is None:
            raise ProviderError(f"{self.provider}: the answer ended before it was whole")
        stream.reply = self._replied("".join(texts), model, usage, reason)

    def _replied(self, text: str, model: str, usage: Any, reason: str | None) -> Reply:
        details = getattr(usage, "prompt_tokens_details", None)
        tokens = TokenUsage(
            input_tokens=usage.prompt_tokens if usage else 0,
            output_tokens=usage.completion_tokens if usage else 0,
            cached_input_tokens=(details.cached_tokens or 0) if details else 0,
        )
        reply = Reply(text, model, self.provider, tokens, reason)
        if self._tracker is not None:
            self._tracker.add(reply)
        return reply
