"""A whole run of vLLM that ends with a failure, as its processes say it, one line after another."""

from tests.verdicts.formats import PIDS
from tests.verdicts.model import OLD, PYDANTIC, Failure, Phase, Raised, Said, Who

SITE = "/opt/venv/lib/python3.12/site-packages"
FRAMES = {
    Who.API: (
        ("vllm/entrypoints/cli/serve.py", 59, "cmd", "uvloop.run(run_server(args))"),
        (
            "vllm/engine/arg_utils.py",
            1142,
            "create_engine_config",
            "model_config = self.create_model_config()",
        ),
    ),
    Who.CORE: (
        (
            "vllm/v1/engine/core.py",
            498,
            "run_engine_core",
            "engine_core = EngineCoreProc(*args, **kwargs)",
        ),
        (
            "vllm/v1/engine/core.py",
            83,
            "__init__",
            "self.model_executor = executor_class(vllm_config)",
        ),
    ),
    Who.WORKER: (
        (
            "vllm/v1/executor/multiproc_executor.py",
            571,
            "worker_main",
            "worker = WorkerProc(*args, **kwargs)",
        ),
        ("vllm/v1/worker/gpu_worker.py", 213, "load_model", "self.model_runner.load_model()"),
    ),
}
"""Where each process is when something is raised below."""
OLD_FRAMES = {
    **FRAMES,
    Who.CORE: (
        (
            "vllm/engine/multiprocessing/engine.py",
            357,
            "run_mp_engine",
            "engine = MQLLMEngine.from_engine_args(engine_args=engine_args,",
        ),
        (
            "vllm/engine/llm_engine.py",
            273,
            "__init__",
            "self.model_executor = executor_class(vllm_config=vllm_config, )",
        ),
    ),
    Who.WORKER: (
        (
            "vllm/executor/multiproc_worker_utils.py",
            230,
            "_run_worker_process",
            "output = executor(*args, **kwargs)",
        ),
        ("vllm/worker/worker.py", 155, "load_model", "self.model_runner.load_model()"),
    ),
}
IMPORT_FRAMES = (
    ("../../../../bin/vllm", 5, "<module>", "from vllm.entrypoints.cli.main import main"),
)
API_SERVING_FRAMES = (
    (
        "vllm/v1/engine/async_llm.py",
        444,
        "output_handler",
        "outputs = await engine_core.get_output_async()",
    ),
)
OLD_SERVING_FRAMES = (
    ("vllm/engine/multiprocessing/engine.py", 133, "start", "self.run_engine_loop()"),
    ("vllm/engine/llm_engine.py", 1390, "step", "outputs = self.model_executor.execute_model("),
)
SERVING_FRAMES = (
    ("vllm/v1/engine/core.py", 720, "run_busy_loop", "self._process_engine_step()"),
    (
        "vllm/v1/engine/core.py",
        745,
        "_process_engine_step",
        "outputs, model_executed = self.step_fn()",
    ),
)
DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."


def run_of(failure: Failure, version: str) -> list[Said]:
    """Return what a run says from its start to its end."""
    said = before(failure.phase, version)
    said += failure.said
    if failure.chain:
        said += failing(failure, version)
    if failure.echoes and failure.who is not Who.API:
        said += echo(failure, version)
    return said


def before(phase: Phase, version: str) -> list[Said]:
    """Return what a run says while all is well, up to a phase."""
    run: list[Said] = []
    if phase >= Phase.CONFIGURATION:
        run += banner(version)
    if phase >= Phase.INITIALIZATION:
        run.append(Said("Using max model len 32768", Who.API, "INFO", "model.py:547"))
        words = f"Initializing a V1 LLM engine (v{version}) with config: model='acme/chat-8b', dtype=torch.bfloat16"
        if version in OLD:
            words = words.replace("a V1 LLM", "an LLM")
        run.append(Said(words, Who.CORE, "INFO", "core.py:77"))
    if phase >= Phase.LOADING:
        run.append(
            Said(
                "Starting to load model acme/chat-8b...",
                Who.WORKER,
                "INFO",
                "gpu_model_runner.py:2602",
            )
        )
    if phase >= Phase.PROFILING:
        bar = "Loading safetensors checkpoint shards: 100% Completed | 4/4 [00:03<00:00,  1.20it/s]"
        run.append(Said(bar, Who.WORKER))
        run.append(
            Said("Loading weights took 3.41 seconds", Who.WORKER, "INFO", "default_loader.py:267")
        )
        run.append(
            Said(
                "Model loading took 15.27 GiB and 3.6 seconds",
                Who.WORKER,
                "INFO",
                "model_runner.py:302",
            )
        )
    if phase >= Phase.WARM_UP:
        blocks = (
            "GPU KV cache size: 390,032 tokens"
            if version not in OLD
            else "# GPU blocks: 5402, # CPU blocks: 3276"
        )
        run.append(Said(blocks, Who.CORE, "INFO", "kv_cache_utils.py:1087"))
        run.append(
            Said(
                "Capturing CUDA graphs (decode, FULL):  12%|█▏        | 8/67 [00:01<00:09]",
                Who.WORKER,
            )
        )
    if phase >= Phase.SERVING:
        run += serving()
    return run


def banner(version: str) -> list[Said]:
    """Return what the API server says first."""
    run = [Said("Automatically detected platform cuda.", Who.API, "INFO", "__init__.py:216")]
    if version in ("0.25.1", "0.32.0", "0.33.0"):
        run[0:0] = [
            Said("       █     █     █▄   ▄█", Who.API, "INFO", "utils.py:299"),
            Said(f" ▄▄ ▄█ █     █     █ ▀▄▀ █  version {version}", Who.API, "INFO", "utils.py:299"),
        ]
    else:
        run.append(Said(f"vLLM API server version {version}", Who.API, "INFO"))
    if version in (*OLD, "0.8.5"):
        args = "args: Namespace(subparser='serve', model_tag='acme/chat-8b', host=None, port=8000)"
        return [*run, Said(args, Who.API, "INFO")]
    args = "non-default args: {'model_tag': 'acme/chat-8b', 'model': 'acme/chat-8b', 'max_model_len': 32768}"
    return [*run, Said(args, Who.API, "INFO", "utils.py:233")]


def serving() -> list[Said]:
    """Return what a server says while it serves."""
    rate = "Engine 000: Avg prompt throughput: 101.2 tokens/s, Running: 4 reqs, Waiting: 0 reqs, GPU KV cache usage: 7.1%"
    asked = 'INFO:     192.0.2.9:41394 - "POST /v1/chat/completions HTTP/1.1" 200 OK'
    return [
        Said("INFO:     Started server process [1]"),
        Said("INFO:     Waiting for application startup."),
        Said("INFO:     Application startup complete."),
        Said(asked),
        Said(rate, Who.API, "INFO", "loggers.py:123"),
        Said(asked),
    ]


def frames_of(phase: Phase, who: Who, version: str) -> tuple[tuple[str, int, str, str], ...]:
    """Return where a process is when something is raised below."""
    if phase is Phase.IMPORTS and who is Who.API:
        return IMPORT_FRAMES
    if phase is Phase.SERVING and who is Who.API:
        return API_SERVING_FRAMES
    if phase is Phase.SERVING and who is Who.CORE:
        return OLD_SERVING_FRAMES if version in OLD else SERVING_FRAMES
    return (OLD_FRAMES if version in OLD else FRAMES)[who]


def traceback(phase: Phase, version: str, who: Who, chain: tuple[Raised, ...]) -> str:
    """Return the chain as Python prints it, the root first."""
    parts: list[str] = []
    for raised in chain:
        if parts:
            parts += ["", raised.link, ""]
        parts.append("Traceback (most recent call last):")
        own = ((raised.file, 137, raised.function, raised.code),) if raised.file else ()
        for file, line, function, code in (*frames_of(phase, who, version), *own):
            parts.append(f'  File "{SITE}/{file}", line {line}, in {function}')
            parts += [f"    {code}"] if code else []
        parts.append(raised.said)
    return "\n".join(parts)


def failing(failure: Failure, version: str) -> list[Said]:
    """Return how the process that fails says so."""
    chain = failure.chain
    if failure.config and version in PYDANTIC:
        root = chain[-1]
        checked = (
            f"1 validation error for {failure.config}\n  Value error, {root.text} [type=value_error, "
            "input_value=ArgsKwargs((), {'model': ...}), input_type=ArgsKwargs]\n"
            "    For further information visit https://errors.pydantic.dev/2.11/v/value_error"
        )
        name = "pydantic_core._pydantic_core.ValidationError"
        chain = (*chain[:-1], Raised(name, checked, root.file, root.function, root.code, root.link))
    trace = traceback(failure.phase, version, failure.who, chain)
    if failure.who is Who.API:
        return [Said(trace)]
    return [Said(f"{heading(failure, version)}\n{trace}", failure.who, "ERROR")]


def heading(failure: Failure, version: str) -> str:
    """Return the line above the traceback, which says nothing of why."""
    serves, worker = failure.phase is Phase.SERVING, failure.who is Who.WORKER
    if version in OLD:
        method = "execute_model" if serves else "load_model"
        if worker:
            return f"Exception in worker VllmWorkerProcess while processing method {method}."
        last = failure.chain[-1]
        return f'{last.name}("{last.text}")' if serves else last.text
    if worker:
        return (
            "WorkerProc failed to start."
            if failure.phase <= Phase.LOADING
            else "WorkerProc hit an exception."
        )
    return "EngineCore encountered a fatal error." if serves else "EngineCore failed to start."


def echo(failure: Failure, version: str) -> list[Said]:
    """Return what the processes above the one that failed say of it."""
    serves = failure.phase is Phase.SERVING
    run: list[Said] = []
    chain = failure.chain
    if failure.who is Who.WORKER and chain and version not in OLD:
        chain = (worker_failed(failure),)
        words = "EngineCore encountered a fatal error." if serves else "EngineCore failed to start."
        run.append(
            Said(
                f"{words}\n{traceback(failure.phase, version, Who.CORE, chain)}", Who.CORE, "ERROR"
            )
        )
    if chain:
        process = "SpawnProcess-1" if version in OLD else "EngineCore_0"
        run.append(
            Said(
                f"Process {process}:\n{traceback(failure.phase, version, Who.CORE, chain)}",
                Who.CORE,
            )
        )
    if serves:
        return [*run, *dead(failure, version)]
    words = "Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    if version == "0.8.5":
        words = "Engine core initialization failed. See root cause above."
    if version in OLD:
        words = "Engine process failed to start. See stack trace for the root cause."
    last = Raised(
        "RuntimeError",
        words,
        "vllm/v1/engine/utils.py",
        "wait_for_engine_startup",
        "raise RuntimeError(",
    )
    return [*run, Said(traceback(failure.phase, version, Who.API, (last,)))]


def worker_failed(failure: Failure) -> Raised:
    """Return what the engine's core raises when a worker failed."""
    file = "vllm/v1/executor/multiproc_executor.py"
    if failure.phase <= Phase.LOADING:
        words = (
            "WorkerProc initialization failed due to an exception in a background process. "
            "See stack trace for root cause."
        )
        return Raised("Exception", words, file, "wait_for_ready", "raise e from None")
    result = failure.chain[-1].text.split("\n")[0]
    words = f"Worker failed with error '{result}', please check the stack trace above for the root cause"
    return Raised("RuntimeError", words, file, "get_response", "raise RuntimeError(")


def dead(failure: Failure, version: str) -> list[Said]:
    """Return what the API server says when its engine is dead, and how it ends."""
    if version in OLD:
        root = failure.chain[-1].said if failure.chain else "None"
        words = f"Engine loop is not running. Inspect the stacktrace to find the original error: {root!r}."
        name, place = "vllm.engine.multiprocessing.MQEngineDeadError", "client.py:282"
        said = "RuntimeError('Engine process (pid 271) died.')"
    else:
        words, name, place = DEAD, "vllm.v1.engine.exceptions.EngineDeadError", "async_llm.py:480"
        said = "AsyncLLM output_handler failed."
    last = Raised(
        name,
        words,
        "vllm/v1/engine/async_llm.py",
        "output_handler",
        "raise self._format_exception(outputs)",
    )
    trace = traceback(failure.phase, version, Who.API, (last,))
    return [
        Said(f"{said}\n{trace}", Who.API, "ERROR", place),
        Said(
            'INFO:     192.0.2.9:41402 - "POST /v1/chat/completions HTTP/1.1" 500 Internal Server Error'
        ),
        Said("INFO:     Shutting down"),
        Said("INFO:     Waiting for application shutdown."),
        Said("INFO:     Application shutdown complete."),
        Said(f"INFO:     Finished server process [{PIDS[Who.API]}]"),
    ]
