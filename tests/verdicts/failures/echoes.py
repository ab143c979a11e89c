"""What a process says because another one ended, and what is printed while all is well."""

from tests.verdicts.failures.printed import silent
from tests.verdicts.model import Phase, Raised, Said, Who, failure

CANCELLED = Raised(
    "RuntimeError",
    "cancelled",
    "vllm/distributed/device_communicators/shm_broadcast.py",
    "acquire_read",
    'raise RuntimeError("cancelled")',
)
SHM = "vllm/distributed/device_communicators/shm_broadcast.py (0.8 to 0.32), acquire_read"
ASKED = Said(
    'INFO:     192.0.2.9:41400 - "POST /v1/chat/completions HTTP/1.1" 500 Internal Server Error'
)


FAILURES = (
    failure(
        "cancelled-after-a-worker",
        Phase.SERVING,
        Who.CORE,
        "worker_died host_out_of_memory",
        False,
        "died unexpectedly",
        SHM,
        CANCELLED,
        said=(
            Said(
                "Worker proc VllmWorker-1 died unexpectedly, shutting down executor.",
                Who.CORE,
                "ERROR",
                "multiproc_executor.py:154",
            ),
        ),
        versions=("0.8.5", "0.11.0", "0.25.1"),
    ),
    failure(
        "cancelled-after-a-killed-worker",
        Phase.SERVING,
        Who.CORE,
        "worker_died host_out_of_memory",
        False,
        "(exit code: -9)",
        SHM,
        CANCELLED,
        said=(
            Said(
                "Worker proc VllmWorker-1 died unexpectedly (exit code: -9), shutting down executor.",
                Who.CORE,
                "ERROR",
                "multiproc_executor.py:316",
            ),
        ),
        versions=("0.32.0", "0.33.0"),
    ),
    silent(
        "exception-printed-without-a-traceback",
        "any library, while it serves: an exception's words alone end nothing",
        Said("OSError: 401 for token ***, key ***"),
    ),
    failure(
        "exception-printed-before-an-engine-is-dead",
        Phase.SERVING,
        Who.CORE,
        "engine_core_died killed",
        False,
        "EngineCore encountered an issue",
        "any library, while it serves; then vllm/v1/engine/exceptions.py: its core had no time to say why",
        said=(Said("OSError: 401 for token ***, key ***"),),
        versions=("0.25.1", "0.32.0", "0.33.0"),
    ),
    silent(
        "request-failed-with-a-traceback",
        "starlette/middleware/errors.py: one request fails, the server goes on",
        Said(
            "ERROR:    Exception in ASGI application\nTraceback (most recent call last):\n  File \"/opt/venv/lib/python3.12/site-packages/uvicorn/protocols/http/httptools_impl.py\", line 401, in run_asgi\n    result = await app(\n  File \"/opt/venv/lib/python3.12/site-packages/vllm/entrypoints/openai/api_server.py\", line 610, in create_chat_completion\n    generator = await handler.create_chat_completion(request, raw_request)\nAttributeError: 'NoneType' object has no attribute 'get_lora_tokenizer'"
        ),
        ASKED,
    ),
    silent(
        "image-not-fetched",
        "vllm/multimodal/utils.py: the address of an image that a client gave",
        Said(
            'Error in preprocessing prompt inputs\nTraceback (most recent call last):\n  File "/opt/venv/lib/python3.12/site-packages/vllm/multimodal/utils.py", line 118, in load_from_url_async\n    data = await connection.async_get_bytes(url, timeout=fetch_timeout)\naiohttp.client_exceptions.ClientConnectorError: Cannot connect to host images.example.org:443 ssl:default [Name or service not known]',
            Who.API,
            "ERROR",
            "serving_chat.py:241",
        ),
        ASKED,
    ),
    silent(
        "adapter-not-loaded-at-run-time",
        "vllm/entrypoints/openai/serving_models.py, load_lora_adapter: refused, served on",
        Said(
            "Error with model error=ErrorInfo(message=\"Loading lora sql failed: No adapter found for /srv/lora/sql\", type='NotFoundError', code=404)",
            Who.API,
            "ERROR",
            "serving_chat.py:189",
        ),
        Said('INFO:     192.0.2.9:41400 - "POST /v1/load_lora_adapter HTTP/1.1" 404 Not Found'),
    ),
    silent(
        "telemetry-not-sent",
        "opentelemetry/exporter/otlp/proto/grpc/exporter.py: spans that nobody takes",
        Said("Failed to export traces to localhost:4317, error code: StatusCode.UNAVAILABLE"),
        Said(
            "Transient error StatusCode.UNAVAILABLE encountered while exporting traces to localhost:4317, retrying in 1s."
        ),
    ),
    silent(
        "cache-of-kernels-not-writable",
        "triton, and torch/_inductor: falls back to another folder",
        Said(
            "Could not create the cache directory: [Errno 13] Permission denied: '/.triton'. Caching is off.",
            Who.CORE,
            "WARNING",
            "cache.py:88",
        ),
    ),
    failure(
        "asked-to-stop-while-requests-run",
        Phase.SERVING,
        Who.API,
        "killed",
        None,
        "",
        "vllm/v1/engine/async_llm.py (0.32): SIGTERM while requests are in flight, and what they say of it",
        said=(
            Said("[shutdown] API server: shutdown triggered", Who.API, "INFO", "launcher.py:123"),
            Said("INFO:     Shutting down"),
            Said(
                'ERROR:    Exception in ASGI application\nTraceback (most recent call last):\n  File "/opt/venv/lib/python3.12/site-packages/starlette/responses.py", line 263, in wrap\n    await func()\nasyncio.exceptions.CancelledError: Task cancelled, timeout graceful shutdown exceeded'
            ),
            Said("INFO:     Application shutdown complete."),
        ),
        versions=("0.32.0", "0.33.0"),
        exit_code=143,
        echoes=False,
    ),
    failure(
        "out-of-memory-then-another-start",
        Phase.SERVING,
        Who.CORE,
        "engine_bug",
        False,
        "AssertionError",
        "two failures in one run: a request that was too large was refused, later the scheduler failed",
        Raised(
            "AssertionError",
            "",
            "vllm/v1/core/sched/scheduler.py",
            "update_from_output",
            "assert request.num_computed_tokens <= request.num_tokens",
        ),
        said=(
            Said(
                "Error in preprocessing prompt inputs: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.21 GiB while decoding an image",
                Who.API,
                "WARNING",
                "serving_chat.py:241",
            ),
            ASKED,
        ),
        versions=("0.11.0", "0.25.1"),
    ),
)
