"""Arguments and configuration that vLLM does not take."""

import re

from vllmd.engine.causes.accelerators import NOT_OF_THE_CODE
from vllmd.engine.causes.base import Cause, Found, Frame, Kind, Rank, Told, number

VALUE_MISTAKES = (
    r"ValueError: (?:.*values to unpack|.*(?:arg is an|argument is) empty|.* not in (?:list|tuple)"
    r"|math domain|zero-size array|.*could not be broadcast|cannot reshape array|The truth value of"
    r"|substring not found|I/O operation on closed|setting an array element)"
)
"""Python's and numpy's own words: of code that met data it was not made for, of no setting."""


def _context(found: Found) -> Told:
    fits = number(r"max_position_embeddings=(\d+)", found.whole) or number(
        r"derived max_model_len \(\D*(\d+)", found.whole
    )
    return Told(f"Set max_model_len = {fits} or less, or leave it out.") if fits else Told()


def _rank(found: Found) -> Told:
    rank = number(r"LoRA rank (\d+)", found.whole)
    if not rank:
        return Told()
    fits = next((size for size in (8, 16, 32, 64, 128, 256, 320, 512) if size >= rank), rank)
    return Told(
        f"Set lora.max_lora_rank = {fits}, or take the adapter of rank {rank} out of lora.modules."
    )


def _flag(found: Found) -> Told:
    unknown = re.search(r"unrecognized arguments: (\S+)", found.whole)
    if unknown:
        return Told(
            f"Take {unknown[1]} out of the engine's configuration, or correct its name; 'vllm serve"
            " --help=all' lists what this version knows."
        )
    return Told()


def _misfit(found: Found) -> Told:
    heads = re.search(
        r"attention heads \((\d+)\) must be divisible by tensor parallel size \((\d+)\)",
        found.whole,
    )
    if heads:
        count, asked = int(heads[1]), int(heads[2])
        sizes = [n for n in range(1, count + 1) if count % n == 0 and n <= max(asked, 8)]
        fits = f"{', '.join(map(str, sizes[:-1]))} or {sizes[-1]}" if sizes[1:] else "1"
        return Told(f"Set tensor_parallel_size to {fits}: the model has {count} attention heads.")
    seen = number(r"visible devices \((\d+)\)", found.whole) or number(
        r"(?:max local gpu count|available GPUs|number of available GPUs) \((\d+)\)", found.whole
    )
    if seen:
        return Told(
            f"{seen} GPUs can be seen: set tensor_parallel_size (times pipeline_parallel_size) to "
            f"{seen} or less, or give the engine more GPUs."
        )
    return Told()


def _remote_code(found: Found) -> Told:
    model = re.search(r"repository (\S+) contains custom code", found.whole)
    if not model:
        return Told()
    return Told(
        f"If you trust the code in {model[1].rstrip('.,')}, set trust_remote_code = true; it "
        f"runs as "
        "the engine's user."
    )


CAUSES = (
    Cause(
        name="context_too_long",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation="max_model_len is larger than the context that the model was made for.",
        advice="Set max_model_len to at most the length that the evidence names, or leave it out.",
        signs={
            r"User-specified max_model_len .* is greater than": "vllm/config/model.py since 0.2"
        },
        told=_context,
    ),
    Cause(
        name="lora_rank",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        explanation=(
            "A LoRA adapter (a small addition to the model) is larger, of a higher rank, than the "
            "engine was told to make room for."
        ),
        advice=(
            "Raise lora.max_lora_rank to the adapter's rank, or take the adapter out of "
            "lora.modules."
        ),
        signs={
            r"LoRA rank \d+ is greater than max_lora_rank": "vllm/lora/peft_helper.py since 0.3"
        },
        told=_rank,
    ),
    Cause(
        name="lora_unusable",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        explanation="A LoRA adapter cannot be used with this model, or is not where it should be.",
        advice=(
            "Take the adapter out of lora.modules, or correct its path; 'vllmd lora' shows "
            "how each "
            "adapter stands."
        ),
        signs={
            r"is unsupported LoRA weight": "vllm/lora/utils.py since 0.3",
            r"No adapter found (?:for|to download)|LoRAAdapterNotFoundError": (
                "vllm/exceptions.py, vllm/lora/worker_manager.py since 0.8"
            ),
            r"expected target modules in": "vllm/lora/lora_model.py since 0.3",
            r"does not support LoRA|is not supported for LoRA": (
                "vllm/v1/worker/lora_model_runner_mixin.py, lora/model_manager.py since 0.4"
            ),
            r"vLLM (?:only supports|does not yet support) (?:modules_to_save|DoRA|bias)": (
                "vllm/lora/peft_helper.py since 0.6"
            ),
            r"When using LoRA, vocab size must be|Loading lora \S+ failed": (
                "vllm/lora/layers/logits_processor.py since 0.3; lora/worker_manager.py since 0.3"
            ),
            r"No such file or directory: '[^']*adapter_(?:config|model)": (
                "Python: vllm opens the adapter's files"
            ),
            r"does not contain .*lora weights|Target modules .* not found in the base model": (
                "vllm/lora/models.py 0.3 to 0.10; peft"
            ),
        },
        unless=rf"{NOT_OF_THE_CODE}|LoRA rank|\bdivisible\b",
        frames=(
            Frame(
                r"vllm/lora/(?:peft_helper|lora_model|models|model_manager|worker_manager|utils)\.py",
                r"^(?:\S*\.)?(?:ValueError|KeyError|TypeError|AssertionError|RuntimeError"
                r"|SafetensorError|FileNotFoundError)\b",
                "vllm/lora: what it raises is about an adapter",
            ),
        ),
    ),
    Cause(
        name="unknown_flag",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation=(
            "This version of vLLM does not know one of its flags, or does not take that value for "
            "it."
        ),
        advice=(
            "Correct the flag in the engine's configuration; 'vllm serve --help=all' lists what "
            "this version knows."
        ),
        signs={
            r"error: unrecognized arguments": "Python: argparse.py",
            r"error: argument -": "Python: argparse.py",
            r"error: ambiguous option": "Python: argparse.py",
            r"error: the following arguments are required": "Python: argparse.py",
            r"\b(?:EngineArgs|LLM)\.__init__\(\) got an unexpected keyword": (
                "Python, of vllm/engine/arg_utils.py since 0.2"
            ),
        },
        told=_flag,
    ),
    Cause(
        name="opentelemetry_missing",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        explanation="vLLM is to send spans, and OpenTelemetry is not installed with it.",
        advice=(
            "Install opentelemetry-sdk and opentelemetry-exporter-otlp into vLLM's environment, or "
            "set traces = false for the engine."
        ),
        signs={r"OpenTelemetry is not available\. Unable to": "vllm/config/observability.py"},
    ),
    Cause(
        name="trust_remote_code",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        explanation="The model brings code of its own, which vLLM runs only when told to trust it.",
        advice="If you trust that code, set trust_remote_code = true; it runs as the engine's "
        "user.",
        signs={
            r"contains custom code which must be executed": "transformers/dynamic_module_utils.py",
            r"trust_remote_code=True|--trust-remote-code": (
                "transformers/dynamic_module_utils.py, vllm/transformers_utils/config.py since 0.2"
            ),
        },
        unless=r"does not recognize this architecture|not supported for now",
        told=_remote_code,
    ),
    Cause(
        name="parallel_misfit",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation="The model or this host cannot be divided into that many parallel parts.",
        advice=(
            "Set tensor_parallel_size to a number that divides the model's attention heads and is "
            "not larger than the number of GPUs."
        ),
        signs={
            r"must be divisible by (?:the )?(?:tensor|pipeline|expert|decode|world|data"
            r"|(?i:tp|pp|ep|dcp|pcp)[ _]?)": ("vllm/config/model.py since 0.2, config/parallel.py"),
            r"local_world_size \(\d+\) (?:must be less"
            r"|exceeds)": "vllm/v1/worker/gpu_worker.py since 0.11",
            r"local rank \d+ is out of bounds": "vllm/v1/worker/gpu_worker.py since 0.13",
            r"World size \(\d+\) is (?:larger|smaller) than": "vllm/config/parallel.py since 0.4",
            r"(?:tensor_parallel|world)_size \(\d+\) (?:to|is) less than (?:than )?max local gpu": (
                "vllm/executor/multiproc_gpu_executor.py 0.5 to 0.8"
            ),
            r"is not divisible by (?:min_thread|tensor|the tensor|tp|weight quantization)": (
                "vllm/model_executor/layers/quantization/utils/fp8_utils.py since 0.4"
            ),
            r"caused by too large tensor parallel size": (
                "vllm/model_executor/layers/quantization/auto_awq.py since 0.2"
            ),
            r"invalid device ordinal|Duplicate GPU detected": "CUDA; NCCL: src/init.cc",
            r"AssertionError: Invalid device id|device >= 0 && device < num_gpus": (
                "torch: cuda/__init__.py; aten/src/ATen/cuda/CUDAContext.cpp"
            ),
            r"(?i:tensor|pipeline)[_ ]parallel[_ ]size .*(?:exceeds|is larger than"
            r"|is greater than)": ("vllm/config/parallel.py 0.4 to 0.9, v1/executor/ray_utils.py"),
            r"^assert .*%.*\b(?:(?:tp|pp|ep|dp)_size|\w*(?:parallel|world|partition)\w*).*== 0": (
                "vllm/model_executor/models: what they assert of their heads and experts"
            ),
        },
        told=_misfit,
    ),
    Cause(
        name="parallel_misfit",
        kind=Kind.CONFIGURATION,
        rank=Rank.BROAD,
        starting=True,
        explanation="A part of the model cannot be divided by tensor_parallel_size.",
        advice="Set tensor_parallel_size to a number that divides the one that the evidence names.",
        signs={
            r"\b\d+ is not divisible by \d+": "vllm/distributed/utils.py since 0.2",
            r"per[ _]partition.* must be divisible by": (
                "vllm/model_executor/layers/quantization/quark/schemes/quark_nvfp4.py since 0.30"
            ),
        },
    ),
    Cause(
        name="file_missing",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation="A file that the engine was told to use is not there.",
        advice="Correct the path that the evidence names; it has to be readable for the "
        "engine's user.",
        signs={
            r"appears path-like, but doesn't exist": "vllm/renderers/chat_utils.py since 0.3",
            r"Can't load (?:the )?(?:tokenizer|(?:image )?processor|feature extractor) for"
            r"|Can't load the configuration of": (
                "transformers/tokenization_utils_base.py, configuration_utils.py"
            ),
            r"No tokenizer file found in directory": "mistral_common/tokens/tokenizers/utils.py",
        },
    ),
    Cause(
        name="config_rejected",
        kind=Kind.CONFIGURATION,
        rank=Rank.BROAD,
        starting=True,
        explanation="vLLM does not take this combination of settings, or not with this model.",
        advice="Change or leave out the setting that the evidence names.",
        unless=(
            r"(?:CUDA|HIP|NCCL|CUDNN|cuBLAS)\b.*(?:error|failed)|NIXL|libstreamer"
            rf"|\b[\d.]+ ?[GM]i?B\b|placement group|called outside of|No compiled \w"
            rf"|: Assertion [`']|{VALUE_MISTAKES}"
        ),
        not_from=r"-packages/(?:torch|triton|numpy|numba)/",
        signs={
            r"\d+ validation errors? for \w*(?:Config|Args)\b": "pydantic; vllm/config since 0.9",
            r"No tokenizer registered for tokenizer_mode=": "vllm/tokenizers since 0.12",
            r"Unsupported connector type": (
                "vllm/distributed/kv_transfer/kv_connector/factory.py since 0.7"
            ),
            r"(?:is|are) only supported (?:for|with|on|in|when)|\bsupports only\b": (
                "vllm/config/compilation.py since 0.4, config/vllm.py since 0.32"
            ),
            r"should have the same vocabulary size": "vllm/config/speculative.py since 0.9",
            r"Unknown quantization method|does not match the quantization method specified": (
                "vllm/config/model.py since 0.2"
            ),
            r"max_num_batched_tokens \(\d+\) (?:is|must be)": "vllm/config/scheduler.py since 0.2",
            r"current platform \S+ does not support"
            r"|Pipeline parallelism is not supported for this": (
                "vllm/config/parallel.py, config/model.py 0.6 to 0.30"
            ),
            r"(?:Tool|Reasoning) parser '[^']*' not found": (
                "vllm/tool_parsers/abstract_tool_parser.py since 0.11"
            ),
            r"both must be set together": "vllm/v1/executor/vllm_net_devices.py since 0.30",
            r"Failed to load (?:\w+ )?LogitsProcessor plugin": (
                "vllm/v1/sample/logits_processor/__init__.py since 0.10"
            ),
            r"WeightCacheKey mismatch|Weight cache role mismatch": (
                "vllm/model_executor/model_loader/weight_cache/ipc_loader.py since 0.30"
            ),
            r"only supports head dim|attention build does not support": "flash_attn: csrc",
            r"invalid tool call parser|invalid reasoning parser"
            r"|--enable-auto-tool-choice requires": (
                "vllm/entrypoints/launchers/launcher.py, "
                "vllm/entrypoints/launchers/cli_args.py since 0.6"
            ),
            r"(?:(?:Value|NotImplemented|Assertion|Attribute|Type)Error): .*"
            r"(?:not supported|does not support|not compatible with|cannot be used|can't be used"
            r"|must be (?:one of|set|specified|provided|greater|less|at least|positive|a multiple)"
            r"|[Uu]nsupported|is required (?:for|when|if)|[Ii]nvalid value|not implemented for)": (
                "vllm: what it says of settings that do not go together"
            ),
            r"is longer than the maximum model length of": (
                "vllm/v1/engine/input_processor.py since 0.12: an image takes too much"
            ),
            r"^yaml\.\w+\.\w*Error": "yaml, of the file that --config names",
            r"jinja2\.exceptions\.Template\w*Error|TemplateSyntaxError": "jinja2: a chat template",
            r"Cannot find the config file for|(?<!\] )[Ii]nvalid (?:option|argument|choice)": (
                "vllm/model_executor/model_loader/weight_utils.py since 0.2"
            ),
            r"invalid literal for int\(\) with base 10: '(?:MIG|GPU)-": (
                "vllm/platforms/cuda.py, of CUDA_VISIBLE_DEVICES"
            ),
            r"(?:invalid literal for int\(\) with base \d+|could not convert string to float): "
            r"'(?:(?i:true|false|yes|no|on|off|auto|none)|\w+://[^']*|)'$": (
                "Python, of a variable or a flag: no file of a model has such numbers"
            ),
            r"Unsupported model_impl|Unknown load_format|Unsupported (?:speculative|runner)": (
                "vllm/model_executor/model_loader/default_loader.py since 0.8"
            ),
        },
        frames=(
            Frame(
                r":create_server_socket$",
                r"Errno 99\]|gaierror",
                "vllm/entrypoints: host is no address of this machine",
            ),
            Frame(
                r"vllm/(?:config[/.]|envs\.py|engine/arg_utils\.py|entrypoints/openai/cli_args\.py)"
                r"|pydantic/|:(?:create_engine_config|create_model_config|validate_parsed_serve_args)$",
                r"^(?:\S*\.)?(?:ValueError|NotImplementedError|AssertionError|TypeError"
                r"|ValidationError|JSONDecodeError)\b",
                "vllm/config, envs.py, engine/arg_utils.py: what they raise is about the settings",
                raised=True,
            ),
            Frame(
                r"vllm/(?:platforms|attention|v1/attention|v1/spec_decode|v1/executor"
                r"|model_executor/layers|model_executor/kernels|model_executor/model_loader)/"
                r"|vllm/(?:model_executor/)?models/.*:__init__$|vllm/v1/core/kv_cache_utils\.py"
                r"|vllm/utils/argparse_utils\.py|vllm/(?:v1/)?worker/\w+\.py:__init__$",
                r"^(?:\S*\.)?(?:ValueError|NotImplementedError)\b",
                "vllm: what its parts refuse, they were told by the settings or by the model",
                raised=True,
            ),
            Frame(
                r"vllm/(?:model_executor/)?models/.*:__init__$",
                r"^AssertionError: .",
                "vllm: what a model's code says of a configuration that it was not made for",
                raised=True,
            ),
            Frame(
                r"(?:^|/)vllm/",
                r"^(?!.*LOGGING_LEVEL)(?:\S*\.)?(?:ValueError|NotImplementedError|AssertionError"
                r"|TypeError|RuntimeError)\b.*(?:(?<![\w-])--[a-z][a-z0-9]+(?:-[a-z0-9]+)+"
                r"|\bVLLM_[A-Z]\w{3,})",
                "vllm: a flag or a variable that its message names",
                raised=True,
            ),
            Frame(
                r"(?:^|/)vllm/",
                r"^(?!.*(?:install|upgrade|report|issue))(?:\S*\.)?(?:ValueError"
                r"|NotImplementedError|AssertionError)\b.*(?:[Pp]lease|[Tt]ry|[Cc]onsider) (?:to )?"
                r"(?:increas|decreas|reduc|lower|rais|enabl|disabl|specif|set|us|pass|provid|chang"
                r"|adjust|remov)\w*",
                "vllm: a message that asks for another setting",
                raised=True,
            ),
        ),
    ),
)
