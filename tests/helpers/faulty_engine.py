"""A stand-in whose requests ask for faults: `python faulty_engine.py serve …` is as `vllm serve …`.

What a prompt says is done where vLLM would do it, to its own counters: the rest of the way, from
its page to vllmd's, is the real one. A fault that a whole process has is in the prompt, too.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from vllmd.demo.api import DemoApi
from vllmd.demo.server import main

FAULT = "fault:"
LATE_S = 30.0


class FaultyApi:
    """What is put in the place of methods of the stand-in's API."""

    answer, page = DemoApi._answer, DemoApi.metrics
    unreadable = False
    missing = ""

    @classmethod
    async def metrics(cls, api: DemoApi, request: HttpRequest) -> Response:
        """Answer the page, unless a prompt has asked for another."""
        if cls.unreadable:
            return Response("no page", status_code=500)
        answer = await cls.page(api, request)
        if cls.missing:
            lines = bytes(answer.body).decode().splitlines(keepends=True)
            kept = "".join(line for line in lines if cls.missing not in line)
            return Response(kept, media_type=answer.media_type)
        return answer

    @classmethod
    async def chat(cls, api: DemoApi, request: HttpRequest, *, chat: bool) -> Response:
        """Answer a request, and do what it asks for."""
        said = (await request.body()).decode()
        answer = await cls.answer(api, request, chat=chat)
        words = said.partition(FAULT)[2].partition('"')[0].split()
        return cls.fault(api, *words) or answer if words else answer

    @classmethod
    def fault(cls, api: DemoApi, what: str, *more: str) -> Response | None:
        """Do one; return what is answered in place of the model's words."""
        of = api._metrics.of
        match what:
            case "preempted":
                of("vllm:num_preemptions_total").inc()
            case "late":
                of("vllm:time_to_first_token_seconds").observe(LATE_S)
            case "slow":
                of("vllm:inter_token_latency_seconds").observe(LATE_S)
            case "queued":
                of("vllm:request_queue_time_seconds").observe(LATE_S)
            case "failed":
                of("vllm:request_success_total", finished_reason="error").inc()
            case "http":
                return JSONResponse({"error": {"message": "a bug"}}, status_code=500)
            case "rejected":
                labels: Any = {"model_name": api._args.served_names[0]}
                family = api._metrics._metrics["vllm:admission_rejections_total"]
                family.labels(reason="max_num_queued_reqs", **labels).inc()
                return JSONResponse({"error": {"message": "full"}}, status_code=503)
            case "unreadable":
                cls.unreadable = True
            case "readable":
                cls.unreadable = False
            case "missing":
                (cls.missing,) = more
            case _:
                raise ValueError(what)
        return None


async def _metrics(api: DemoApi, request: HttpRequest) -> Response:
    return await FaultyApi.metrics(api, request)


async def _answer(api: DemoApi, request: HttpRequest, *, chat: bool) -> Response:
    return await FaultyApi.chat(api, request, chat=chat)


if __name__ == "__main__":
    DemoApi.metrics = _metrics  # type: ignore[method-assign, assignment]
    DemoApi._answer = _answer  # type: ignore[method-assign, assignment]
    sys.exit(main(sys.argv[1:]))
