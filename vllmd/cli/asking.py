"""One question to an engine's API, timed; the standard library only, for a fast start."""

import http.client
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

from vllmd.errors import VllmdError
from vllmd.shim.files import parse_json

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
NO_TEMPLATE = "chat template"
"""What vLLM says of a base model that was never taught to chat."""


class AskError(VllmdError):
    """The engine did not answer the question, or not whole."""


@attrs.frozen
class TimedAnswer:
    """What came, and when. Times in seconds from the request on."""

    model: str
    text: str
    time_to_first_token_s: float
    total_s: float
    completion_tokens: int
    finish_reason: str | None

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens after the first, over the time that they took; None if there are none."""
        took = self.total_s - self.time_to_first_token_s
        return (self.completion_tokens - 1) / took if self.completion_tokens > 1 and took else None


@attrs.frozen
class EngineApi:
    """An engine's OpenAI API."""

    url: str
    key: str | None
    timeout_s: float

    def models(self) -> list[str]:
        """Return the names of the base model and of the adapters.

        Raises: AskError.
        """
        with _Connection(self) as connection:
            body = parse_json(connection.send("GET", "/v1/models").read())
        return [str(model["id"]) for model in body["data"]]

    def named_models(self) -> list[tuple[str, ...]]:
        """Return the same, with all names of a base model together.

        Raises: AskError. Source: vLLM: each name has an entry with the model's path as `root`; an
        adapter has a `parent`.
        """
        with _Connection(self) as connection:
            body = parse_json(connection.send("GET", "/v1/models").read())
        found: dict[tuple[str, str], list[str]] = {}
        for model in body["data"]:
            name, parent = str(model["id"]), model.get("parent")
            own = ("adapter", name) if parent else ("base", str(model.get("root") or name))
            found.setdefault(own, []).append(name)
        return [tuple(names) for names in found.values()]

    def ask(
        self, model: str, prompt: str, max_tokens: int, show: Callable[[str], None]
    ) -> TimedAnswer:
        """Ask for one answer, and `show` each piece of it as it comes.

        Raises: AskError.
        """
        try:
            return self._ask(CHAT, model, prompt, max_tokens, show)
        except AskError as error:
            if NO_TEMPLATE not in str(error):
                raise
        return self._ask(COMPLETIONS, model, prompt, max_tokens, show)

    def _ask(
        self, path: str, model: str, prompt: str, max_tokens: int, show: Callable[[str], None]
    ) -> TimedAnswer:
        asked = (
            {"messages": [{"role": "user", "content": prompt}]}
            if path == CHAT
            else {"prompt": prompt}
        )
        about = {"stream": True, "stream_options": {"include_usage": True}}
        began, first_s, pieces, tokens, reason = time.monotonic(), 0.0, [], 0, None
        with _Connection(self) as connection:
            body = {"model": model, "max_tokens": max_tokens, **asked, **about}
            for event in connection.stream(path, body, model):
                if usage := event.get("usage"):
                    tokens = usage["completion_tokens"]
                for choice in event.get("choices", ()):
                    piece, thought = _piece(choice)
                    if (piece or thought) and not first_s:
                        first_s = time.monotonic() - began
                    if piece:
                        pieces.append(piece)
                        show(piece)
                    reason = choice.get("finish_reason") or reason
        total_s = time.monotonic() - began
        if reason is None:
            raise AskError(f"{model}: the answer ended before it was complete")
        count = tokens or len(pieces)
        return TimedAnswer(model, "".join(pieces), first_s or total_s, total_s, count, reason)


def _piece(choice: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a part of a stream adds: to the answer, and to the reasoning before it."""
    delta = choice.get("delta") or {}
    thought = delta.get("reasoning") or delta.get("reasoning_content") or ""
    return delta.get("content") or choice.get("text") or "", thought


class _Connection:
    """One connection, whose failures are sentences."""

    def __init__(self, api: EngineApi) -> None:
        parts = urlsplit(api.url)
        self._url = api.url
        self._key = api.key
        self._inner = http.client.HTTPConnection(
            parts.hostname or "127.0.0.1", parts.port, timeout=api.timeout_s
        )

    def __enter__(self) -> "_Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._inner.close()

    def send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """Send a request; the response is a success."""
        given = {"content-type": "application/json", **(headers or {})}
        if self._key:
            given["authorization"] = f"Bearer {self._key}"
        try:
            data = None if body is None else json.dumps(body)
            self._inner.request(method, path, data, given)
            response = self._inner.getresponse()
            if response.status != http.client.OK:
                raise AskError(_refusal(self._url, response.status, response.read()))
        except (OSError, http.client.HTTPException) as error:
            raise AskError(f"{self._url} did not answer: {error or 'it took too long'}") from None
        return response

    def stream(self, path: str, body: Any, model: str) -> Iterator[dict[str, Any]]:
        """Send a request and yield the events of its stream.

        It names the model in `tracestate`, so that its span is counted for that adapter.
        """
        ids = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
        response = self.send(
            "POST", path, body, {"traceparent": ids, "tracestate": f"vllmd={model}"}
        )
        try:
            for line in response:
                data = line.strip().removeprefix(b"data:").strip()
                if not line.startswith(b"data:") or data == b"[DONE]":
                    continue
                event: dict[str, Any] = parse_json(data)
                if "error" in event:
                    raise AskError(f"{self._url}: {_message(event)}")
                yield event
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise AskError(f"{self._url}: the answer was cut off: {error}") from None


def _refusal(url: str, status: int, body: bytes) -> str:
    if status in (401, 403):
        return f"{url} wants its API key: set VLLM_API_KEY, or give --api-key-file"
    try:
        message = _message(parse_json(body))
    except ValueError:
        message = body.decode(errors="replace").strip()
    return f"{url} answered {status}: {message[:500] or 'nothing'}"


def _message(body: Any) -> str:
    error = body.get("error", body) if isinstance(body, dict) else body
    return str(error.get("message", error) if isinstance(error, dict) else error)
