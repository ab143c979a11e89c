"""vLLM's endpoints, answered by the stand-in."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from vllmd.demo.args import Args
from vllmd.demo.engine import DemoEngine, DemoRequest, EngineDeadError
from vllmd.demo.key import KeyRequired
from vllmd.demo.logprobs import choice_of
from vllmd.demo.lora import LoadedAdapters
from vllmd.demo.metrics import Metrics
from vllmd.demo.sleep import DevRoutes
from vllmd.demo.spans import Spans

VERSION = "0.32.0"
DEFAULT_MAX_TOKENS = 16


class DemoApi:
    """The models that are served and the requests for them."""

    def __init__(
        self,
        args: Args,
        engine: DemoEngine,
        metrics: Metrics,
        spans: Spans,
        adapters: LoadedAdapters,
    ) -> None:
        self._args = args
        self._spans = spans
        self._engine = engine
        self._metrics = metrics
        self._adapters = adapters
        self._created = int(time.time())
        self.draining = False

    def app(self) -> Starlette:
        """Build the application."""
        posts = {
            "/v1/chat/completions": self.chat,
            "/v1/completions": self.completions,
        }
        gets = {
            "/health": self.health,
            "/ping": self.health,
            "/version": self.version,
            "/metrics": self.metrics,
            "/v1/models": self.models,
            "/load": self.load,
        }
        routes = [Route(path, handler, methods=["POST"]) for path, handler in posts.items()]
        routes += [Route(path, handler) for path, handler in gets.items()]
        routes += DevRoutes(self._engine, self._metrics).routes()
        guard = [Middleware(KeyRequired, keys=self._args.api_keys)]
        return Starlette(routes=routes + self._adapters.routes(), middleware=guard)

    async def health(self, _: HttpRequest) -> Response:
        """Answer 200 as long as the EngineCore is not known to be dead: also while it hangs."""
        return Response(status_code=503 if self._engine.died.is_set() else 200)

    async def version(self, _: HttpRequest) -> Response:
        """Answer the version whose behaviour this is."""
        return JSONResponse({"version": VERSION})

    async def load(self, _: HttpRequest) -> Response:
        """Answer 0: vLLM counts only with --enable-server-load-tracking."""
        return JSONResponse({"server_load": 0})

    async def metrics(self, _: HttpRequest) -> Response:
        """Answer the page in plain text; the path ignores Accept, as vLLM's does."""
        page = self._metrics.page()
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def models(self, _: HttpRequest) -> Response:
        """List the base model's names and the adapters."""
        base = [self._card(name, self._args.model, None) for name in self._args.served_names]
        parent = self._args.served_names[0]
        adapters = [self._card(name, path, parent) for name, path in self._adapters.paths.items()]
        return JSONResponse({"object": "list", "data": base + adapters})

    def _card(self, name: str, root: str, parent: str | None) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": self._created,
            "owned_by": "vllm",
            "root": root,
            "parent": parent,
            "max_model_len": None if parent else self._args.max_model_len,
        }

    async def chat(self, request: HttpRequest) -> Response:
        """Answer a chat completion, whole or as a stream."""
        return await self._handle(request, chat=True)

    async def completions(self, request: HttpRequest) -> Response:
        """Answer a completion, whole or as a stream."""
        return await self._handle(request, chat=False)

    async def _handle(self, request: HttpRequest, *, chat: bool) -> Response:
        started = time.monotonic()
        response = await self._answer(request, chat=chat)
        sizes = (_size(request.headers), _size(response.headers))
        seconds = time.monotonic() - started
        self._metrics.handled(request.url.path, response.status_code, seconds, sizes)
        return response

    async def _answer(self, request: HttpRequest, *, chat: bool) -> Response:
        try:
            body = await request.json()
        except ValueError as error:
            return _error(400, "BadRequestError", f"[{{'type': 'json_invalid', 'msg': '{error}'}}]")
        rank = _rank(request.headers)
        refusal = self._refusal(body, chat, rank)
        return refusal or await self._generate(body, chat, rank, request.headers)

    def _refusal(self, body: dict[str, Any], chat: bool, rank: int | None) -> Response | None:
        model = body.get("model") or self._args.served_names[0]
        if model not in self._args.served_names and model not in self._adapters.paths:
            return _error(404, "NotFoundError", f"The model `{model}` does not exist.", "model")
        if self.draining:
            message = "cannot schedule new futures after shutdown"
            return _error(500, "InternalServerError", message)
        if rank is not None and not 0 <= rank < self._args.data_ranks:
            message = f"data_parallel_rank {rank} is out of range [0, {self._args.data_ranks})."
            return _error(400, "BadRequestError", message)
        prompt_tokens, max_tokens = _lengths(body, chat)
        if prompt_tokens + max_tokens > self._args.max_model_len:
            length = self._args.max_model_len
            return _error(
                400, "BadRequestError", f"This model's maximum context length is {length} tokens."
            )
        return None

    async def _generate(
        self, body: dict[str, Any], chat: bool, rank: int | None, headers: Mapping[str, str]
    ) -> Response:
        model = body.get("model") or self._args.served_names[0]
        prompt_tokens, max_tokens = _lengths(body, chat)
        adapter = model if model in self._adapters.paths else None
        generation = DemoRequest(prompt_tokens, max_tokens, adapter, rank=rank)
        with_usage = (body.get("stream_options") or {}).get("include_usage", False)
        reply = _Reply(model, chat, generation, with_usage)
        words = self._engine.generate(
            generation, lambda: self._spans.finished(generation, reply.id, headers)
        )
        if body.get("stream"):
            return StreamingResponse(reply.stream(words), media_type="text/event-stream")
        try:
            texts = [word async for word in words]
        except EngineDeadError as error:
            return _error(500, "InternalServerError", str(error.__doc__))
        of_model = f"{self._args.model}/{adapter or ''}"
        more = {} if chat else choice_of(of_model, body, generation.tokens)
        return JSONResponse(reply.whole(" ".join(texts), more))


def _rank(headers: Mapping[str, str]) -> int | None:
    """Return the data parallel rank that a request names; what is no number names none."""
    try:
        return int(headers.get("x-data-parallel-rank", ""))
    except ValueError:
        return None


def _size(headers: Mapping[str, str]) -> int:
    return int(headers.get("content-length", 0))


class _Reply:
    """One answer in OpenAI's shape."""

    def __init__(self, model: str, chat: bool, request: DemoRequest, with_usage: bool) -> None:
        kind = "chat.completion" if chat else "text_completion"
        prefix = "chatcmpl" if chat else "cmpl"
        self._chat = chat
        self._request = request
        self._with_usage = with_usage
        self._head = {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": model,
        }

    @property
    def id(self) -> str:
        """The request's id, as it is in its span."""
        return str(self._head["id"])

    def whole(self, text: str, more: Mapping[str, Any]) -> dict[str, Any]:
        content: dict[str, Any] = (
            {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
        )
        choices = [{"index": 0, "finish_reason": "length", **content, **more}]
        return {**self._head, "choices": choices, "usage": self._usage()}

    def _usage(self) -> dict[str, int]:
        prompt, done = self._request.prompt_tokens, self._request.tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": done,
            "total_tokens": prompt + done,
        }

    async def stream(self, words: AsyncIterator[str]) -> AsyncIterator[str]:
        head = {**self._head, "object": f"{self._head['object']}.chunk"}
        if not self._chat:
            head = self._head
        try:
            async for word in words:
                content: dict[str, Any] = (
                    {"delta": {"content": f"{word} "}} if self._chat else {"text": f"{word} "}
                )
                yield _event({**head, "choices": [{"index": 0, "finish_reason": None, **content}]})
            end: dict[str, Any] = {"delta": {}} if self._chat else {"text": ""}
            yield _event({**head, "choices": [{"index": 0, "finish_reason": "length", **end}]})
            if self._with_usage:
                yield _event({**head, "choices": [], "usage": self._usage()})
        except EngineDeadError as error:
            yield _event({"error": {"message": error.__doc__, "code": 500}})
        yield "data: [DONE]\n\n"


def _event(payload: dict[str, Any]) -> str:
    return f"data: {json.dumps(payload)}\n\n"


def _prompt(body: dict[str, Any], chat: bool) -> str:
    if not chat:
        return str(body.get("prompt", ""))
    return " ".join(str(message.get("content", "")) for message in body.get("messages", ()))


def _lengths(body: dict[str, Any], chat: bool) -> tuple[int, int]:
    prompt_tokens = len(_prompt(body, chat).split()) or 1
    asked = body.get("max_completion_tokens") or body.get("max_tokens")
    return prompt_tokens, asked or DEFAULT_MAX_TOKENS


def _error(code: int, kind: str, message: str, param: str | None = None) -> Response:
    body = {"message": message, "type": kind, "param": param, "code": code}
    return JSONResponse({"error": body}, status_code=code)
