"""Lines that look like a cause and are none: warnings, prompts, mends, faults of an earlier run."""

from tests.verdicts.failures.printed import CORE_DIED, silent
from tests.verdicts.model import OLD, V1, Phase, Raised, Said, Who, failure

FAILURES = (
    silent(
        "context-overridden",
        "vllm/config/model.py: VLLM_ALLOW_LONG_MAX_MODEL_LEN",
        Said(
            "User-specified max_model_len (65536) is greater than the derived max_model_len (max_position_embeddings=4096 or model_max_length=None in model's config.json). VLLM_ALLOW_LONG_MAX_MODEL_LEN must be used with extreme caution.",
            Who.API,
            "WARNING",
            "model.py:1501",
        ),
    ),
    silent(
        "port-retried",
        "vllm/config/parallel.py (0.11 to 0.32)",
        Said(
            "Address already in use. Retrying with a new port.",
            Who.CORE,
            "WARNING",
            "parallel.py:746",
        ),
    ),
    silent(
        "prompt-logged",
        "vllm/entrypoints/logger.py, log_inputs",
        Said(
            "Received request chatcmpl-1: prompt: 'Why does torch.OutOfMemoryError: CUDA out of memory. happen, and what is [Errno 28] No space left on device?', params: SamplingParams(n=1)",
            Who.API,
            "INFO",
            "logger.py:40",
        ),
    ),
    silent(
        "disk-warning",
        "huggingface_hub/file_download.py, _check_disk_space",
        Said(
            "UserWarning: Not enough free disk space to download the file. The expected file size is: 4976.70 MB. The target location /root/.cache/huggingface only has 812.10 MB free disk space.",
            Who.CORE,
        ),
    ),
    silent(
        "adapter-refused-earlier",
        "vllm/entrypoints/serve/lora: an adapter asked for while it serves, and refused",
        Said(
            "ValueError: LoRA rank 64 is greater than max_lora_rank 16.",
            Who.API,
            "WARNING",
            "serving_models.py:171",
        ),
        Said('INFO:     192.0.2.9:41400 - "POST /v1/load_lora_adapter HTTP/1.1" 400 Bad Request'),
    ),
    silent(
        "c10d-warning",
        "torch torch/csrc/distributed/c10d/socket.cpp",
        Said(
            "[W1128 21:05:10.288977942 socket.cpp:209] [c10d] The server socket on [::]:29500 has failed to bind (errno: 98 - Address already in use).",
            Who.CORE,
        ),
    ),
    silent(
        "hub-retried",
        "huggingface_hub/utils/_http.py, http_backoff",
        Said(
            "'(ReadTimeoutError(\"HTTPSConnectionPool(host='huggingface.co', port=443): Read timed out. (read timeout=10)\"), '(Request ID: 4711)')' thrown while requesting HEAD https://huggingface.co/acme/chat-8b/resolve/main/generation_config.json",
            Who.API,
            "WARNING",
            "_http.py:319",
        ),
    ),
    silent(
        "flashinfer-not-there",
        "vllm/v1/sample/ops/topk_topp_sampler.py",
        Said(
            "FlashInfer is not available. Falling back to the PyTorch-native implementation of top-p & top-k sampling. ImportError: libcudart.so.13: cannot open shared object file: No such file or directory",
            Who.CORE,
            "WARNING",
            "topk_topp_sampler.py:59",
        ),
    ),
    silent(
        "client-asked-too-much",
        "vllm/entrypoints/openai/serving_engine.py: 400 to a client",
        Said(
            'Error in preprocessing prompt inputs\nTraceback (most recent call last):\n  File "/opt/venv/lib/python3.12/site-packages/vllm/entrypoints/openai/serving_chat.py", line 223, in create_chat_completion\n    ) = await self._preprocess_chat(\nValueError: This model\'s maximum context length is 32768 tokens. However, you requested 40123 tokens.',
            Who.API,
            "ERROR",
            "serving_chat.py:241",
        ),
        Said('INFO:     192.0.2.9:41400 - "POST /v1/chat/completions HTTP/1.1" 400 Bad Request'),
    ),
    silent(
        "answer-logged",
        "vllm/entrypoints/logger.py, log_outputs: --enable-log-outputs",
        Said(
            "Generated response chatcmpl-2: output: 'RuntimeError: NCCL error: unhandled system error. PermissionError: [Errno 13] Permission denied: /root', finish_reason: stop",
            Who.API,
            "INFO",
            "logger.py:66",
        ),
    ),
    failure(
        "earlier-run-out-of-memory",
        Phase.SERVING,
        Who.CORE,
        "engine_core_died killed",
        False,
        "died unexpectedly",
        "two runs in one file: the first one's failure is not the last one's",
        said=(CORE_DIED,),
        versions=("0.11.0", "0.19.0", "0.25.1"),
    ),
    failure(
        "earlier-run-old",
        Phase.CONFIGURATION,
        Who.API,
        "config_rejected",
        True,
        "must be greater than or equal to max_num_seqs",
        "two runs in one file, of versions that log args: Namespace",
        Raised(
            "ValueError",
            "max_num_batched_tokens (128) must be greater than or equal to max_num_seqs (256).",
            "vllm/config.py",
            "_verify_args",
            "raise ValueError(",
        ),
        versions=OLD,
    ),
    failure(
        "earlier-run-arguments",
        Phase.ARGUMENTS,
        Who.API,
        "unknown_flag",
        True,
        "unrecognized arguments",
        "two runs in one file: the second dies before its first line",
        said=(
            Said("usage: vllm serve [model_tag] [options]"),
            Said("vllm serve: error: unrecognized arguments: --no-such-flag"),
        ),
        versions=("0.11.0", "0.32.0"),
        exit_code=2,
        echoes=False,
    ),
    failure(
        "log-cut-short",
        Phase.ARGUMENTS,
        Who.API,
        "unknown",
        None,
        "",
        "the end of a log: only the echo of what failed above is left",
        said=(
            Said(
                "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
            ),
        ),
        versions=V1[2:5],
        echoes=False,
    ),
    failure(
        "shutdown-as-asked-with-errors",
        Phase.SERVING,
        Who.API,
        "killed",
        None,
        "",
        "vllm/v1/engine: SIGTERM, a drain, and the tracker's warning",
        said=(
            Said("[shutdown] API server: shutdown triggered", Who.API, "INFO", "launcher.py:123"),
            Said("INFO:     Shutting down"),
            Said(
                "/usr/lib/python3.12/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 1 leaked shared_memory objects to clean up at shutdown"
            ),
        ),
        versions=("0.32.0", "0.33.0"),
        exit_code=143,
        echoes=False,
    ),
)
EARLIER = {"earlier-run-out-of-memory", "earlier-run-old", "earlier-run-arguments"}
"""Those before which the file has a whole other run, which ended with memory that ran out."""
