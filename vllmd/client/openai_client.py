"""OpenAI, and whoever speaks as it does, by the official SDK."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import openai

from vllmd.client.costs import CostTracker
from vllmd.client.interface import Message, ProviderError, Reply, S, Stream, TokenUsage
from vllmd.client.sdk_client import SdkClient


class OpenAIClient(SdkClient):
    """Chat completions."""

    provider = "openai"
    errors = (openai.OpenAIError, ValueError)
    status_error = openai.APIStatusError

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
        super().__init__(model, tracker)
        try:
            self._sdk = openai.OpenAI(
                api_key=api_key, base_url=base_url, timeout=timeout_s, max_retries=max_retries
            )
        except openai.OpenAIError as error:
            raise ProviderError(f"{self.provider}: {error}") from error

    def _headers(self, model: str) -> Mapping[str, str]:
        """Return what is sent along with a request to a model."""
        del model
        return {}

    def _asked(
        self,
        messages: Sequence[Message],
        model: str,
        max_tokens: int | None,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        headers = {**self._headers(model), **options.get("extra_headers", {})}
        asked = {**options, "model": model, "messages": list(messages), "extra_headers": headers}
        return asked if max_tokens is None else {**asked, "max_completion_tokens": max_tokens}

    def _create(self, asked: Mapping[str, Any], schema: type[S] | None = None) -> Any:
        if schema is None:
            return self._sdk.chat.completions.create(**asked)
        return self._sdk.chat.completions.parse(**asked, response_format=schema)

    def _pieces(self, stream: Stream, asked: Mapping[str, Any]) -> Iterator[str]:
        about = {"stream": True, "stream_options": {"include_usage": True}}
        chunks = self._ask(lambda: self._create({**asked, **about}))
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
            raise ProviderError(f"{self.provider}: the answer was cut off: {error}") from error
        if reason is None:
            raise ProviderError(f"{self.provider}: the answer ended before it was complete")
        reply = Reply("".join(texts), model, self.provider, _tokens(usage), reason)
        stream.reply = self._counted(reply)

    def _reply(self, answer: Any) -> Reply:
        choice, tokens = answer.choices[0], _tokens(answer.usage)
        text = choice.message.content or ""
        return Reply(text, answer.model, self.provider, tokens, choice.finish_reason)

    def _parsed(self, answer: Any) -> Any:
        return answer.choices[0].message.parsed

    def _refused(self, answer: Any) -> str | None:
        refusal: str | None = answer.choices[0].message.refusal
        return refusal


def _tokens(usage: Any) -> TokenUsage:
    details = getattr(usage, "prompt_tokens_details", None)
    return TokenUsage(
        input_tokens=usage.prompt_tokens if usage else 0,
        output_tokens=usage.completion_tokens if usage else 0,
        cached_input_tokens=(details.cached_tokens or 0) if details else 0,
    )
