"""What the class of an exception and who raised it tell, where its message is not known.

Looked for in the root alone: what was printed besides it is mostly its echo.
"""

from vllmd.engine.causes.arguments import VALUE_MISTAKES
from vllmd.engine.causes.base import Cause, Found, Frame, Kind, Rank, Told


def _any(*patterns: str) -> str:
    return f"(?:{'|'.join(patterns)})"


_UNLESS = _any(
    r"out of memory",
    r"(?:CUDA|HIP|NCCL|HSA) error",
    r"Errno|os error",
    r"\bHTTP",
    r"[Tt]imed? ?out",
)
"""Words of the host, of its GPUs and of networks: whoever raised it, it is not about the code."""
_NAME = r"^(?:\S*\.)?"
_MISTAKE = _NAME + _any(
    r"AssertionError$",
    r"(?:UnboundLocal|Name|ZeroDivision|Recursion)Error\b",
    r"AttributeError: .*" + _any(r"has no (?:attribute|setter)", r"Can't (?:get|pickle)"),
    r"KeyError: "
    + _any(r"'[^' ]*'", r'"[^" ]*"', r"-?\d+", r"\(.*\)", r"<.*>", r"[a-z]+\.\w+")
    + "$",
    r"IndexError: "
    + _any(
        r"(?:list|tuple|string|array|deque) (?:assignment )?index",
        r"pop ",
        r"index -?\d+",
        r"too many indices",
        r"The shape of the mask",
        r"[Dd]imension (?:specified|out)",
    ),
    VALUE_MISTAKES,
    r"TypeError: .*"
    + _any(
        r"unexpected keyword argument",
        r"required (?:positional|keyword-only) argument",
        r"positional arguments? but",
        r"multiple values for",
        r"object (?:is not|does not|cannot|of type)",
        r"not supported between instances",
        r"unsupported operand",
        r"must be (?:real number|str|int|a string|an integer),? not",
        r"non-iterable",
        r"abstract (?:class|method)",
        r"[Cc]an(?:'t|not) pickle",
        r"unhashable",
        r"argument of type",
        r"cannot be interpreted",
    ),
)
"""Exceptions by which Python itself tells of a mistake in code, or of data it was not made for.

What a person wrote as a message is not among them: that may be of a setting.
"""
_OF_ITSELF = (
    _NAME
    + r"(?:Assertion|Value|Runtime|Key|Index|Type|Attribute)Error: .*"
    + _any(
        r"mismatch|(?:does|do|must|should) (?:not )?match",
        r"\b(?:shapes?|ndim|dtypes?|strides?|contiguous|tensors?)\b",
        r"[Ii]nternal (?:bug|error)|unreachable|[Dd]id you forget|out of sync",
        r"should (?:not|never|always) |must not be None|(?:must|should) be (?:equal|the same)",
        r"called (?:outside|before|twice)|already (?:initialized|set|registered|exists)",
        r"(?:is|are|was|were|has|have) not (?:been )?"
        r"(?:set|initiali[sz]ed|allocated|registered|prepared)\b",
        r"[Dd]uplicate (?:layer|op|name)",
    )
)
"""What vLLM's code says of its own data and of its own order, which no setting changes."""
_VLLM = r"(?:^|/)vllm(?:_\w+)?/"
"""vLLM, and its plugins for other hardware."""
_SETTINGS = r"config|engine/arg_utils|transformers_utils/config|envs|entrypoints/\S*cli_args"
"""Where a value of a wrong type is one that vLLM was given."""
_OF_A_HOST = (
    r"\b(?:available|allowed|devices?|memory|nodes?|GPUs?|ports?|network|support\w*|enabled?)\b"
)
_OTHERS = _any("nixl", "lmcache", "mooncake", "mori", "ray", "requests", "urllib3") + "/"
_PACKAGE = rf"(?:site|dist)-packages/(?!vllm|{_OTHERS}|grpc|http|aiohttp|botocore)"
_PARTS = r"transformers/" + _any(
    r"(?:image_|video_)?processing_\w+\.py:",
    r"feature_extraction_\w+\.py:",
    r"(?:image|video|audio)_utils\.py:",
    r"models/\w+/(?:(?:image_|video_)?processing|feature_extraction)_\w+\.py:",
)
_TOKENIZERS = _any(
    r"transformers/(?:models/\w+/)?tokenization_\w+\.py:",
    r"transformers/integrations/mistral/",
    r"transformers/generation/configuration_utils\.py:",
    r"packages/tokenizers/",
    r"mistral_common/",
    r"tiktoken/",
)
_KERNELS = _any(
    r"vllm/_(?:custom|aiter|xpu)_ops\.py:",
    r"vllm/utils/(?:flashinfer|deep_gemm)\.py:",
    r"/(?:kernels|ops|fused_moe)/",
    r"/(?:flashinfer|deep_gemm|triton|xformers|flash_attn|vllm_flash_attn|aiter|flash_mla)/",
)
_ABSENT = r"\b(?:is|are) not available"
"""What a setting asks for, or what a model needs, is not there on this host."""
_REFUSED = _any(
    r"(?i:not (?:yet )?(?:support|implemented))",
    r"(?i:unsupported|only supports?\b|incompatible with)",
    r"\brequires?\b",
)
_OF_A_GPU = r"\b" + _any(
    r"GPU|device|arch\w*|capability|platform|hardware",
    r"SM\d*|Hopper|Blackwell|ROCm|CUDA",
)
_OPERAND = _any(
    r"self|other|input|output|out|weight|x|q|k|v|query|key|value|residual|hidden_states",
)
_TENSORS = r"^(?:RuntimeError|NotImplementedError|\S*InternalError): " + _any(
    r"Cannot copy out of meta tensor|could not create a (?:primitive|memory)",
    r"Check failed: |CHECK_[A-Z]+\(|.*INTERNAL ASSERT FAILED|Expected .* to be (?:true|false)",
    r"stack expects|.*\bdims?\d? must",
    r"shape '\[.*\]' is invalid for input",
    r"(?:shape|size) mismatch|[Ss]izes of tensors must|mat1 and mat2|tensor a \(",
    r"The (?:size of tensor|expanded size)",
    r"[Ee]xpected (?:scalar type|m1 and m2|mat1 and mat2|all tensors to be on|size for first two)",
    r"Expected .*\b(?:shape|size|dim|dtype|contiguous|stride)",
    r"split_with_sizes|unflatten:|einsum\(\)|Given groups=|output with shape",
    r"selected index|index \d+ is out of bounds|Tensors must have|Trying to create tensor with neg",
    rf"{_OPERAND}(?:\.\w+)? (?:must|should) (?:be|have)\b",
    r"view size is not compatible|.*must match the size|.*doesn't match the broadcast",
)
"""What PyTorch and kernels say of tensors of other shapes, types or devices than they take."""
_STD = _any(
    r"^MemoryError: std::bad_array_new_length",
    r"^(?:Runtime|Index|Value)Error: "
    + _any(r"std::|vector::|map::at|_Map_base::at", "basic_string"),
)
"""What pybind11 makes of exceptions of C++'s standard library."""


def _where(found: Found) -> str:
    """Return where an exception was raised, as a part of a sentence; empty if no frame says so."""
    thrown = found.sign.thrown
    if thrown is None or not thrown.files:
        return ""
    file = thrown.files[-1]
    for mark in ("-packages/", "/vllm/"):
        if mark in file:
            file = ("vllm/" if mark == "/vllm/" else "") + file.rsplit(mark, 1)[1]
            break
    return f" ({file}, {thrown.functions[-1]})"


def _mistaken(found: Found) -> Told:
    return Told(
        explanation=(
            f"The code{_where(found)} met what it was not made for, and ended the start: a "
            "mistake in vLLM, or a package or a model that does not fit it."
        )
    )


CAUSES = (
    Cause(
        name="processor_failed",
        kind=Kind.CONFIGURATION,
        rank=Rank.CLASS,
        starting=True,
        explanation=(
            "What prepares images, audio or video for the model (its processor) does not work with "
            "this Transformers, or with the model's files."
        ),
        advice=(
            "Install the versions that the model's page names ('vllmd engine install'); without "
            "images: limit-mm-per-prompt = '{\"image\": 0}' among the flags."
        ),
        unless=_UNLESS,
        frames=(
            Frame(
                _PARTS,
                _NAME
                + r"(?:NotImplemented|Value|Runtime|Type|Key|Index|Attribute|Assertion)Error\b",
                "transformers: processing_utils.py, image_processing_utils.py and their like",
                raised=True,
            ),
        ),
    ),
    Cause(
        name="unsupported_model",
        kind=Kind.CONFIGURATION,
        rank=Rank.CLASS,
        starting=True,
        explanation=(
            "The model's tokenizer or configuration is not of a form that the packages beside vLLM "
            "(Transformers, tokenizers, mistral_common) can read."
        ),
        advice=(
            "Install the versions that the model's page names ('vllmd engine install'), or look "
            "whether the files of its tokenizer are whole."
        ),
        unless=_UNLESS,
        frames=(
            Frame(
                _TOKENIZERS,
                _NAME + r"(?:Exception\b|(?:NotImplemented|Value|Type|Key|Index|Attribute)Error\b)",
                "transformers: tokenization_utils_base.py; tokenizers; mistral_common",
                raised=True,
            ),
        ),
    ),
    Cause(
        name="weights_damaged",
        kind=Kind.CONFIGURATION,
        rank=Rank.CLASS,
        starting=True,
        explanation="A file of the model is not of the form that its name says.",
        advice="Remove the file and download the model again, or take another file of it.",
        unless=_UNLESS,
        frames=(
            Frame(
                r"/(?:gguf|safetensors)/\w+\.py:",
                _NAME + r"(?:ValueError|KeyError|IndexError|EOFError|AssertionError)\b",
                "gguf: gguf_reader.py; safetensors",
                raised=True,
            ),
        ),
    ),
    Cause(
        name="lora_unusable",
        kind=Kind.CONFIGURATION,
        rank=Rank.CLASS,
        starting=True,
        explanation="LoRA adapters cannot be used with this model, or with these settings.",
        advice="Take the adapters out of lora.modules, or change what the evidence names.",
        unless=_UNLESS,
        frames=(
            Frame(
                r"vllm/lora/",
                _NAME + r"(?:ValueError|NotImplementedError|AssertionError|RuntimeError): .",
                "vllm/lora",
                raised=True,
            ),
        ),
    ),
    Cause(
        name="gpu_unsupported",
        kind=Kind.CONFIGURATION,
        rank=Rank.CLASS,
        starting=True,
        explanation="A kernel that the model needs does not take this GPU.",
        advice=(
            "Take another quantization, dtype or attention backend, as the evidence says, or "
            "another GPU."
        ),
        unless=_UNLESS,
        frames=(
            Frame(
                _KERNELS,
                _NAME
                + r"(?:Runtime|Value|NotImplemented|Assertion)Error: .*"
                + _any(rf"{_REFUSED}.*{_OF_A_GPU}\b", rf"{_OF_A_GPU}\b.*{_REFUSED}"),
                "vllm: what its kernels need; flashinfer, deep_gemm, xformers, aiter",
                raised=True,
            ),
        ),
    ),
    Cause(
        name="dist_unreachable",
        kind=Kind.TRANSIENT,
        rank=Rank.CLASS,
        starting=True,
        explanation="The engine's processes could not come together over the network.",
        advice=(
            "Look at the address and the firewall between the hosts (master_addr, VLLM_HOST_IP), "
            "and whether the head runs."
        ),
        unless=r"out of memory|(?:CUDA|HIP) error|backend type|[Uu]nknown|[Cc]ontiguous",
        frames=(
            Frame(
                r"torch/distributed/\S*:(?:_create_c10d_store|_tcp_rendezvous_handler"
                r"|_env_rendezvous_handler|init_process_group|new_group|_new_process_group_helper"
                r"|_new_group_with_tag)$",
                _NAME + r"(?:RuntimeError|Dist\w*Error|TimeoutError)\b",
                "torch/distributed: rendezvous.py, distributed_c10d.py",
                raised=True,
            ),
        ),
    ),
    Cause(
        name="config_rejected",
        kind=Kind.CONFIGURATION,
        rank=Rank.CLASS,
        starting=True,
        explanation="vLLM does not take what it was given: a setting, or the model with it.",
        advice="Change or leave out the setting that the evidence names, or take another model.",
        unless=rf"{_UNLESS}|{_OF_ITSELF}|{VALUE_MISTAKES}|\binstall|PATH\b",
        frames=(
            Frame(
                _VLLM,
                _NAME + r"(?:ValueError|NotImplementedError|VLLM\w*Error): .",
                "vllm: what it says of settings and of models",
                raised=True,
            ),
            Frame(
                _VLLM + r"(?!_|.*(?:/ops/|/kernels/|fused_moe/|/attention/|/forward))",
                rf"{_NAME}(?:AssertionError|RuntimeError): .*(?:{_REFUSED}|{_ABSENT})",
                "vllm: what it says of settings that do not go together",
                raised=True,
            ),
        ),
    ),
    Cause(
        name="engine_bug",
        kind=Kind.TRANSIENT,
        rank=Rank.CLASS,
        starting=True,
        explanation=(
            "A mistake in the code of vLLM, or of a package that does not fit it, ended the start."
        ),
        advice=(
            "Install another version ('vllmd engine install'), or leave out the feature that the "
            "traceback names; vLLM's issues may have it."
        ),
        unless=_UNLESS,
        frames=(
            Frame(
                rf"{_VLLM}(?!{_SETTINGS})|{_PACKAGE}|/multiprocessing/",
                _MISTAKE,
                "Python, of vLLM's code and of the packages beside it",
                raised=True,
            ),
            Frame(
                rf"{_VLLM}(?:{_SETTINGS})",
                r"^(?:UnboundLocalError|NameError|AttributeError: '"
                r"(?!(?:str|list|dict|int|bool|tuple|float|set|bytes)')\w+' object)",
                "Python, of code that makes the settings",
                raised=True,
            ),
            Frame(_VLLM, _OF_ITSELF, "vllm, of its own data", raised=True),
            Frame(
                r"-packages/torch/(?!distributed/|cuda/)",
                r"^(?:Value|Runtime|Assertion)Error: .*"
                r"\b(?:shapes?|dims?|dimensions?|dtypes?|tensors?|strides?)\b",
                "torch, of tensors that do not fit each other",
                raised=True,
            ),
            Frame(
                _VLLM + r"(?:\S*/)?(?:ops|kernels|fused_moe|layers|models|attention|worker)/\S*"
                r":(?!__init__$|create_weights$|_?(?:verify|validate|check|select|get)\w*$)",
                rf"^AssertionError: (?!.*{_OF_A_HOST})",
                "vllm, of the data that its parts hand to each other",
                raised=True,
            ),
            Frame(_VLLM, _TENSORS, "torch: aten/src/ATen, c10; kernels"),
            Frame(rf"{_VLLM}|-packages/", _STD, "the C++ library, by pybind11"),
        ),
        told=_mistaken,
    ),
)
