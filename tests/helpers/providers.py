"""Local servers that answer as OpenAI and Anthropic do; what is tested is our side of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from tests.helpers.listening import Handler, listening

OPENAI_USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4},
}
ANTHROPIC_USAGE = {"input_tokens": 6, "cache_read_input_tokens": 4, "output_tokens": 5}


@attrs.define
class Provider:
    """A server: where it is, what it was asked, and what it answers next."""

    url: str = ""
    asked: list[dict[str, Any]] = attrs.field(factory=list)
    headers: list[dict[str, str]] = attrs.field(factory=list)
    refusals: list[tuple[int, dict[str, str]]] = attrs.field(factory=list)
    """Answered first: a status and headers each."""
    text: str = "hello there"
    ends: str | None = None
    """How an answer ends, in the provider's word."""
    broken: bool = False
    """A stream ends in the middle."""
    ready: int = 200


def _openai(provider: Provider, body: dict[str, Any]) -> dict[str, Any]:
    choice = {
        "index": 0,
        "finish_reason": provider.ends or "stop",
        "message": {"role": "assistant", "content": provider.text},
    }
    head = {"id": "c1", "object": "chat.completion", "created": 1, "model": body["model"]}
    return {**head, "choices": [choice], "usage": OPENAI_USAGE}


def _openai_stream(provider: Provider, body: dict[str, Any]) -> Iterator[str]:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    for word in provider.text.split():
        choice = {"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}
        yield f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"
    if provider.broken:
        return
    choice = {"index": 0, "delta": {}, "finish_reason": provider.ends or "stop"}
    yield f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"
    yield f"data: {json.dumps({**head, 'choices': [], 'usage': OPENAI_USAGE})}\n\n"
    yield "data: [DONE]\n\n"


def _anthropic(provider: Provider, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": provider.text}],
        "stop_reason": provider.ends or "end_turn",
        "stop_sequence": None,
        "usage": ANTHROPIC_USAGE,
    }


def _anthropic_stream(provider: Provider, body: dict[str, Any]) -> Iterator[str]:
    message = {**_anthropic(provider, body), "content": [], "stop_reason": None}
    block = {"type": "text", "text": ""}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": f"{word} "},
            }
            for word in provider.text.split()
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": provider.ends or "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 5},
        },
        {"type": "message_stop"},
    ]
    for event in events:
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"


@contextmanager
def provider() -> Iterator[Provider]:
    """Serve /v1/chat/completions, /v1/messages, /v1/models and /ready."""
    made = Provider()

    class Answers(Handler):
        def reply(self) -> None:
            if self.path == "/ready":
                self.answer(made.ready)
                return
            if self.path.endswith("/models"):
                models = [{"id": n, "object": "model"} for n in ("base", "sql")]
                self.answer(200, json.dumps({"data": models}).encode(), "application/json")
                return
            body = json.loads(self.body())
            made.asked.append(body)
            made.headers.append({k.lower(): v for k, v in self.headers.items()})
            if made.refusals:
                self._refuse(*made.refusals.pop(0))
                return
            anthropic = self.path.endswith("/messages")
            if body.get("stream"):
                parts = (_anthropic_stream if anthropic else _openai_stream)(made, body)
                self.answer(200, "".join(parts).encode(), "text/event-stream")
            else:
                whole = (_anthropic if anthropic else _openai)(made, body)
                self.answer(200, json.dumps(whole).encode(), "application/json")

        def _refuse(self, status: int, headers: dict[str, str]) -> None:
            content = json.dumps({"error": {"message": "not now", "type": "x"}}).encode()
            self.send_response(status)
            for name, value in {**headers, "content-type": "application/json"}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with listening(Answers) as url:
        made.url = url
        yield made
