"""What vLLM prints at the turns of a run; several readers look for it. Pure: no I/O."""

READY = "Application startup complete"
"""The web server takes requests. Source: uvicorn; vLLM 0.4 to 0.32."""
BANNERS = ("vLLM API server version", "args: Namespace(", "non-default args:")
"""What a run says near its start. Source: vllm/entrypoints of vLLM 0.4 to 0.32."""
TRACEBACK = "Traceback (most recent call last):"
FATAL = (
    "EngineCore encountered a fatal error",
    "EngineCore hit an exception",
    "EngineCore failed",
    "Engine background task failed",
    "Engine iteration timed out",
    "AsyncLLMEngine has failed",
    "MQLLMEngine is already dead",
    "MQLLMEngine terminated",
    "terminating server process",
    "died unexpectedly",
    "exited unexpectedly",
    "died, exit code",
    "atchdog caught collective",
    "atchdog thread terminated",
    "Some NCCL operations have failed",
    "Got fatal signal from worker",
    "EngineDeadError",
    "Fatal Python error",
    "Segfault encountered",
    "terminate called after",
    "Engine loop is not running",
    "Engine loop has died",
    "Background loop is stopped",
    "Background loop has errored",
)
"""What is said only when the engine ends. Source: vLLM 0.4 to 0.32, PyTorch, Python."""
