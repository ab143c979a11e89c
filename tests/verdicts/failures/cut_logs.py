"""Parts of logs, as people show them: the beginning is not there, nor what the server says first."""

from tests.verdicts.model import NAMED, OLD, Failure, Phase, Said, Who, failure

SITE = "/opt/venv/lib/python3.12/site-packages"
ASKED = 'INFO:     192.0.2.9:41394 - "POST /v1/chat/completions HTTP/1.1" 500 Internal Server Error'
RATE = "Engine 000: Avg prompt throughput: 101.2 tokens/s, Running: 4 reqs, Waiting: 0 reqs"


def cut(
    name: str,
    causes: str,
    hold: bool | None,
    words: str,
    source: str,
    *said: Said,
    versions: tuple[str, ...] = NAMED,
    code: int = 0,
) -> Failure:
    """Return what is left of a run: nothing is said but these lines."""
    return failure(
        name,
        Phase.ARGUMENTS,
        Who.API,
        causes,
        hold,
        words,
        source,
        said=said,
        versions=versions,
        exit_code=code,
        echoes=False,
    )


def traceback(*frames: str, said: str, header: str = "") -> str:
    """Return a traceback of ``file:function`` frames."""
    places = (frame.rsplit(":", 1) for frame in frames)
    lines = [f'  File "{SITE}/{file}", line 137, in {function}' for file, function in places]
    return "\n".join(
        [*([header] if header else []), "Traceback (most recent call last):", *lines, said]
    )


FAILURES = (
    cut(
        "cut-request-refused",
        "unknown",
        False,
        "",
        "vllm/entrypoints/openai/serving_chat.py: an error of a request, which ends nothing",
        Said(
            traceback(
                "vllm/entrypoints/openai/serving_chat.py:create_chat_completion",
                "vllm/multimodal/registry.py:create_processor",
                said="ValueError: acme/chat-8b is not a multimodal model",
                header="Error in preprocessing prompt inputs",
            ),
            Who.API,
            "ERROR",
            "serving_chat.py:199",
        ),
    ),
    cut(
        "cut-requests-only",
        "unknown",
        False,
        "",
        "vllm/v1/metrics/loggers.py, uvicorn: an engine that serves",
        Said(RATE, Who.API, "INFO", "loggers.py:123"),
        Said(ASKED.replace("500 Internal Server Error", "200 OK")),
        Said(
            traceback(
                "vllm/entrypoints/openai/tool_parsers/hermes_tool_parser.py:extract_tool_calls",
                said="json.decoder.JSONDecodeError: Unterminated string starting at: line 2 column 10 (char 10)",
                header="Error in extracting tool call from response.",
            ),
            Who.API,
            "ERROR",
            "hermes_tool_parser.py:110",
        ),
        Said(ASKED.replace("500 Internal Server Error", "200 OK")),
    ),
    cut(
        "cut-nixl-between-requests",
        "kv_transfer",
        False,
        "NIXL_ERR_BACKEND",
        "nixl, without its traceback; vllm/v1/engine/async_llm.py",
        Said("nixl._bindings.nixlBackendError: NIXL_ERR_BACKEND", Who.CORE, "ERROR", "core.py:517"),
        Said(
            traceback(
                "vllm/v1/engine/async_llm.py:output_handler",
                said="vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.",
                header="AsyncLLM output_handler failed.",
            ),
            Who.API,
            "ERROR",
            "async_llm.py:420",
        ),
        Said(ASKED),
    ),
    cut(
        "cut-behind-a-bar",
        "engine_bug",
        False,
        "Attempted to assign",
        "tqdm, which ends no line; vllm/v1/engine/core.py",
        Said(
            "Processed prompts:  47%|████▋     | 30/64 [00:10<00:12,  2.77it/s, est. speed input: 4163.14 toks/s, output: 481.12 toks/s]"
            + "\n".join(
                f"ERROR 11-28 21:05:30 [core.py:340] {line}"
                for line in (
                    "EngineCore hit an exception: Traceback (most recent call last):",
                    f'  File "{SITE}/vllm/v1/engine/core.py", line 367, in run_busy_loop',
                    f'  File "{SITE}/vllm/model_executor/models/utils.py", line 401, in merge',
                    "ValueError: Attempted to assign 256 + 74 = 330 multimodal tokens to 332 placeholders",
                )
            )
        ),
        Said("Killed"),
        versions=("0.8.5", "0.9.1"),
        code=137,
    ),
    cut(
        "cut-dead-said-first",
        "engine_bug",
        False,
        "shape mismatch",
        "vllm/engine/multiprocessing/engine.py 0.6 to 0.10: the server noticed first",
        Said(
            "MQLLMEngine is already dead, terminating server process",
            Who.API,
            "CRITICAL",
            "launcher.py:99",
        ),
        Said(ASKED),
        Said(
            traceback(
                "vllm/engine/multiprocessing/engine.py:run_engine_loop",
                "vllm/worker/model_runner.py:execute_model",
                said="RuntimeError: shape mismatch: value tensor of shape [211, 4096] cannot be broadcast to indexing result of shape [212, 4096]",
                header="RuntimeError('Error in model execution: shape mismatch: value tensor of shape [211, 4096]')",
            ),
            Who.CORE,
            "ERROR",
            "engine.py:135",
        ),
        versions=OLD,
    ),
    cut(
        "cut-dead-twice",
        "worker_timeout",
        False,
        "RPC call",
        "a program that calls vLLM, and lets its exceptions through twice",
        Said(
            traceback(
                "vllm/v1/executor/multiproc_executor.py:collective_rpc",
                said="TimeoutError: RPC call to execute_model timed out.",
            ),
            Who.CORE,
        ),
        Said(
            traceback(
                "../../../../bin/run.py:<module>",
                "vllm/v1/engine/core_client.py:get_output",
                said="vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.",
            )
        ),
        Said(
            traceback(
                "../../../../bin/run.py:<module>",
                "vllm/v1/engine/core_client.py:get_output",
                said="vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.",
            )
        ),
        code=1,
    ),
    cut(
        "cut-worker-before-peers",
        "cuda_error",
        False,
        "unspecified launch failure",
        "vllm/worker/worker_base.py, torch: gloo: the other ranks miss the one that failed",
        Said(
            traceback(
                "vllm/worker/worker_base.py:start_worker_execution_loop",
                "vllm/model_executor/models/deepseek.py:forward",
                said="RuntimeError: CUDA error: unspecified launch failure",
                header="Error executing method 'start_worker_execution_loop'. This might cause deadlock in distributed execution.",
            ),
            Who.WORKER,
            "ERROR",
            "worker_base.py:581",
        ),
        Said(
            traceback(
                "vllm/engine/async_llm_engine.py:run_engine_loop",
                "vllm/distributed/parallel_state.py:recv_object",
                said="RuntimeError: [../third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 1800000ms for recv operation to complete",
                header="Engine background task failed",
            ),
            Who.API,
            "ERROR",
            "async_llm_engine.py:68",
        ),
        versions=OLD,
    ),
    cut(
        "cut-wait-for-a-worker",
        "worker_timeout",
        False,
        "TimeoutError",
        "vllm/distributed/device_communicators/shm_broadcast.py: the middle of a log",
        Said(
            "\n".join(
                (
                    f'  File "{SITE}/vllm/distributed/device_communicators/shm_broadcast.py", line 469, in acquire_read',
                    "    raise TimeoutError",
                    "TimeoutError",
                    "",
                    "The above exception was the direct cause of the following exception:",
                    "",
                    "Traceback (most recent call last):",
                    f'  File "{SITE}/vllm/v1/engine/core.py", line 579, in run_engine_core',
                    "    engine_core.run_busy_loop()",
                )
            ),
            Who.CORE,
            "ERROR",
            "core.py:588",
        ),
    ),
    cut(
        "cut-no-heartbeat",
        "worker_timeout engine_core_died stalled",
        False,
        "No heartbeat",
        "vllm/engine/multiprocessing/client.py 0.6 to 0.10",
        Said(RATE, Who.API, "INFO", "metrics.py:345"),
        Said(
            "TimeoutError('No heartbeat received from MQLLMEngine')",
            Who.API,
            "ERROR",
            "client.py:244",
        ),
        Said("NoneType: None", Who.API, "ERROR", "client.py:244"),
        Said(
            "MQLLMEngine is already dead, terminating server process",
            Who.API,
            "CRITICAL",
            "launcher.py:99",
        ),
        Said(ASKED),
        Said("INFO:     Shutting down"),
        versions=OLD,
    ),
    cut(
        "cut-no-free-blocks",
        "engine_bug",
        False,
        "NoFreeBlocksError",
        "vllm/core/block/naive_block.py 0.5 to 0.10, of an engine that served",
        Said(
            traceback(
                "vllm/engine/multiprocessing/engine.py:run_engine_loop",
                "vllm/engine/multiprocessing/engine.py:engine_step",
                "vllm/core/scheduler.py:_schedule_prefills",
                "vllm/core/block/naive_block.py:_allocate_block_id",
                said="vllm.core.block.interfaces.BlockAllocator.NoFreeBlocksError",
                header="NoFreeBlocksError()",
            ),
            Who.CORE,
            "ERROR",
            "engine.py:165",
        ),
        versions=OLD,
    ),
)
