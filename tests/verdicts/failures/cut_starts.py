"""Parts of logs of starts, as people show them."""

from tests.verdicts.failures.cut_logs import SITE, cut, traceback
from tests.verdicts.model import Failure, Said, Who

FAILURES: tuple[Failure, ...] = (
    cut(
        "cut-logged-and-went-on",
        "unknown",
        False,
        "",
        "vllm/v1/attention/backends/fa_utils.py: a script that ran to its end without that kernel",
        Said("non-default args: {'runner': 'pooling'}", Who.API, "INFO", "utils.py:233"),
        Said(
            "Cannot use FA version 2 is not supported due to FA2 is only supported on devices with compute capability >= 8",
            Who.CORE,
            "ERROR",
            "fa_utils.py:57",
        ),
        Said(
            "Starting to load model acme/chat-8b...", Who.CORE, "INFO", "gpu_model_runner.py:2602"
        ),
        Said(
            "Model loading took 3.97 GiB and 3.6 seconds", Who.CORE, "INFO", "model_runner.py:302"
        ),
        Said("GPU KV cache size: 390,032 tokens", Who.CORE, "INFO", "kv_cache_utils.py:1087"),
        Said("PASS: {'requests': 2}"),
    ),
    cut(
        "cut-ray-frames",
        "unsupported_combination engine_bug",
        None,
        "not enough values",
        "ray/exceptions.py: the other process's frames behind RayTaskError",
        Said("Starting to load model acme/chat-8b...", Who.API, "INFO", "gpu_model_runner.py:2602"),
        Said(
            traceback(
                "vllm/v1/engine/core.py:run_engine_core",
                "ray/_private/worker.py:get_objects",
                said="ray.exceptions.RayTaskError(ValueError): ray::RayWorkerWrapper.execute_method() (pid=10529, ip=192.0.2.7)\n"
                f'  File "{SITE}/vllm/v1/worker/gpu_worker.py", line 189, in determine_available_memory\n'
                f'  File "{SITE}/vllm/model_executor/models/deepseek.py", line 401, in forward\n'
                "ValueError: not enough values to unpack (expected 22, got 21)",
                header="EngineCore failed to start.",
            ),
            Who.CORE,
            "ERROR",
            "core.py:340",
        ),
        code=1,
    ),
    cut(
        "cut-uncaught",
        "unsupported_model",
        True,
        "has no vLLM implementation",
        "RunPod's worker for vLLM, which prints no traceback",
        Said(
            "Uncaught exception | <class 'ValueError'>; OddModel has no vLLM implementation and the Transformers implementation is not compatible with vLLM.; <traceback object at 0x7f5beafb7900>;"
        ),
        code=1,
    ),
    cut(
        "cut-error-of-a-subprocess",
        "broken_install",
        True,
        "triton.compiler",
        "vllm/model_executor/models/registry.py: the subprocess's own words behind its exception",
        Said(
            "\n".join(
                (
                    "Error in inspecting model architecture 'OddForCausalLM'",
                    "Traceback (most recent call last):",
                    f'  File "{SITE}/vllm/model_executor/models/registry.py", line 588, in _run',
                    "subprocess.CalledProcessError: Command '['/opt/venv/bin/python', '-m', 'vllm.model_executor.models.registry']' returned non-zero exit status 1.",
                    "",
                    "The above exception was the direct cause of the following exception:",
                    "",
                    "Traceback (most recent call last):",
                    f'  File "{SITE}/vllm/model_executor/models/registry.py", line 352, in inspect',
                    "RuntimeError: Error raised in subprocess:",
                    "<frozen runpy>:128: RuntimeWarning: 'vllm.model_executor.models.registry' found in sys.modules",
                    "Traceback (most recent call last):",
                    '  File "<frozen runpy>", line 198, in _run_module_as_main',
                    f'  File "{SITE}/torch/_inductor/runtime/hints.py", line 67, in <module>',
                    "    from triton.compiler.compiler import AttrsDescriptor",
                    "ModuleNotFoundError: No module named 'triton.compiler'; 'triton' is not a package",
                )
            ),
            Who.API,
            "ERROR",
            "registry.py:354",
        ),
        Said(
            traceback(
                "vllm/config/model.py:__post_init__",
                said="ValueError: Model architectures ['OddForCausalLM'] failed to be inspected. Please check the logs for more details",
            )
        ),
        code=1,
    ),
    cut(
        "cut-shell-permission",
        "program_missing permission_denied",
        True,
        "Permission denied",
        "dash, bash",
        Said("/bin/sh: 1: vllm: Permission denied"),
        code=126,
    ),
    cut(
        "cut-shell-permission-line",
        "program_missing permission_denied",
        True,
        "Permission denied",
        "bash",
        Said("/run/start.sh: line 7: /opt/venv/bin/vllm: Permission denied"),
        code=126,
    ),
    cut(
        "cut-module-that-runs",
        "broken_install engine_bug",
        True,
        "unexpected keyword argument",
        "Python: argparse.py, of vllm/entrypoints/api_server.py 0.7",
        Said(
            'Traceback (most recent call last):\n  File "<frozen runpy>", line 198, in _run_module_as_main\n'
            '  File "<frozen runpy>", line 88, in _run_code\n'
            f'  File "{SITE}/vllm/entrypoints/api_server.py", line 148, in <module>\n'
            '    parser.add_argument("--port", type=int, default=8000, ge=1024)\n'
            '  File "/usr/lib/python3.12/argparse.py", line 1507, in add_argument\n'
            "    action = action_class(**kwargs)\n"
            "TypeError: _StoreAction.__init__() got an unexpected keyword argument 'ge'"
        ),
        code=1,
    ),
    cut(
        "cut-quoted-traceback",
        "no_gpu ray_resources",
        None,
        "No CUDA GPUs",
        "Ray Serve's status: a traceback within a message, within a document",
        Said(
            "          RuntimeError: Traceback (most recent call last):\n"
            f'            File "{SITE}/ray/serve/_private/replica.py", line 1140, in initialize_callable\n'
            "              await self._call_func_or_gen(\n"
            f'            File "{SITE}/vllm/v1/worker/gpu_worker.py", line 155, in init_device\n'
            "              torch.cuda.set_device(self.device)\n"
            f'            File "{SITE}/torch/cuda/__init__.py", line 319, in _lazy_init\n'
            "              torch._C._cuda_init()\n"
            "          RuntimeError: No CUDA GPUs are available"
        ),
        code=1,
    ),
)
