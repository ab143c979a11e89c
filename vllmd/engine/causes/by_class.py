"""What the class of an exception of vLLM's own code tells, where its message is not known.

vLLM refuses a setting or a model with words; Python's own words are of code that met what it was
not made for. In the code of models, layers and kernels that is a combination (of a model, a flag, a
GPU, a package) that nobody made to work: a wall. In the engine's own parts it is a mistake of vLLM.
"""

from vllmd.engine.causes.arguments import VALUE_MISTAKES
from vllmd.engine.causes.base import NOWHERE, Cause, Found, Frame, Kind, Rank, Told
from vllmd.engine.causes.class_of_libraries import NAME, UNLESS, any_of

_SLIP = NAME + any_of(r"AssertionError$", r"(?:UnboundLocal|Name|Recursion)Error\b", VALUE_MISTAKES)
"""Mistakes in the code itself, whatever it is given."""
_MISTAKE = NAME + any_of(
    r"ZeroDivisionError\b",
    r"AttributeError: .*" + any_of(r"has no (?:attribute|setter)", r"Can't (?:get|pickle)"),
    r"KeyError: "
    + any_of(r"None", r"'[^' ]*'", r'"[^" ]*"', r"-?\d+", r"\(.*\)", r"<.*>", r"[a-z]+\.\w+")
    + "$",
    r"IndexError: "
    + any_of(
        r"(?:list|tuple|string|array|deque) (?:assignment )?index",
        r"pop ",
        r"index -?\d+",
        r"too many indices",
        r"The shape of the mask",
        r"[Dd]imension (?:specified|out)",
    ),
    r"TypeError: .*"
    + any_of(
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
    NAME
    + r"(?:Assertion|Value|Runtime|Key|Index|Type|Attribute)Error: .*"
    + any_of(
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
_OF_A_HOST = r"\b(?:available|devices?|memory|nodes?|GPUs?|ports?|network|support\w*|enabled?)\b"
_OTHERS = any_of("nixl", "lmcache", "mooncake", "mori", "ray", "requests", "urllib3") + "/"
_PACKAGE = rf"(?:site|dist)-packages/(?!vllm|{_OTHERS}|grpc|http|aiohttp|botocore)"
_KERNELS = any_of(
    r"vllm/_(?:custom|aiter|xpu)_ops\.py:",
    r"vllm/utils/(?:flashinfer|deep_gemm)\.py:",
    r"/(?:kernels|ops|fused_moe)/",
    r"/(?:flashinfer|deep_gemm|triton|xformers|flash_attn|vllm_flash_attn|aiter|flash_mla)/",
)
_ABSENT = r"\b(?:is|are) not available"
"""What a setting asks for, or what a model needs, is not there on this host."""
_REFUSED = any_of(
    r"(?i:not (?:yet )?(?:support|implemented))",
    r"(?i:unsupported|only supports?\b|incompatible with)",
    r"\brequires?\b",
)
_OF_A_GPU = r"\b" + any_of(
    r"GPU|device|arch\w*|capability|platform|hardware",
    r"SM\d*|Hopper|Blackwell|ROCm|CUDA",
)
_OPERAND = any_of(
    r"self|other|input|output|out|weight|x|q|k|v|query|key|value|residual|hidden_states",
)
_TENSORS = r"^(?:RuntimeError|NotImplementedError|\S*InternalError): " + any_of(
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
_STD = any_of(
    r"^MemoryError: std::bad_array_new_length",
    r"^(?:Runtime|Index|Value)Error: "
    + any_of(r"std::|vector::|map::at|_Map_base::at", "basic_string"),
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


_OF_MODELS = _VLLM + any_of(
    r"model_executor/(?!model_loader/)|models/|(?:v1/)?attention/|(?:v1/)?spec_decode/|multimodal/",
    r"v1/sample/|v1/pool/|device_allocator/|_\w+_ops\.py|vllm_flash_attn/|kernels/|lora/",
)
"""Where vLLM has what differs from model to model, and from GPU to GPU."""
_OF_RUNNERS = _VLLM + r"(?:v1/)?worker/"
_OF_COMBINATIONS = r"^(?:NotImplementedError\b|TypeError: .*unexpected keyword)"


def _not_made_for(found: Found) -> Told:
    return Told(
        explanation=(
            f"The code{_where(found)} met what it was not made for: this model with this setting, "
            "quantization, package or GPU."
        )
    )


CAUSES = (
    Cause(
        name="lora_unusable",
        kind=Kind.CONFIGURATION,
        rank=Rank.CLASS,
        starting=True,
        explanation="LoRA adapters cannot be used with this model, or with these settings.",
        advice="Take the adapters out of lora.modules, or change what the evidence names.",
        unless=UNLESS,
        frames=(
            Frame(
                r"vllm/lora/",
                NAME + r"(?:ValueError|NotImplementedError|AssertionError|RuntimeError): .",
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
        unless=UNLESS,
        frames=(
            Frame(
                _KERNELS,
                NAME
                + r"(?:Runtime|Value|NotImplemented|Assertion)Error: .*"
                + any_of(rf"{_REFUSED}.*{_OF_A_GPU}\b", rf"{_OF_A_GPU}\b.*{_REFUSED}"),
                "vllm: what its kernels need; flashinfer, deep_gemm, xformers, aiter",
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
        unless=(
            rf"{UNLESS}|{_OF_ITSELF}|{VALUE_MISTAKES}|\binstall|PATH\b|\b[KMG]i?B\b"
            r"|placement group|Method '\w+' is not implemented"
        ),
        frames=(
            Frame(
                _VLLM,
                NAME + r"(?:ValueError|NotImplementedError|VLLM\w*Error): .",
                "vllm: what it says of settings and of models",
                raised=True,
            ),
            Frame(
                rf"{_VLLM}(?:{_SETTINGS})",
                r"^KeyError: '\w+'$",
                "Python, of a part that a model's config.json or hf_overrides lacks",
                raised=True,
            ),
            Frame(
                _VLLM + r"(?!_|.*(?:/ops/|/kernels/|fused_moe/|/attention/|/forward))",
                rf"{NAME}(?:AssertionError|RuntimeError): .*(?:{_REFUSED}|{_ABSENT})",
                "vllm: what it says of settings that do not go together",
                raised=True,
            ),
        ),
    ),
    Cause(
        name="unsupported_combination",
        kind=Kind.CONFIGURATION,
        rank=Rank.CLASS,
        starting=True,
        explanation=(
            "The code met what it was not made for: this model with this setting, quantization, "
            "package or GPU."
        ),
        advice=(
            "Leave out the feature that the traceback names (a quantization, an attention backend, "
            "speculative decoding, a parallel size), or install another version ('vllmd engine "
            "install')."
        ),
        unless=UNLESS,
        signs={
            r"Assertion error \(\S*(?:deep_?gemm|flash_?mla|/csrc/)\S*:\d+\): ": (
                "deep_gemm: csrc/utils/exception.hpp, of what its kernels are called with"
            ),
        },
        frames=(
            Frame(
                _OF_MODELS,
                rf"{_MISTAKE}|^NotImplementedError\b|^(?:Assertion|Runtime)Error: .",
                "vllm: models, layers, kernels, attention",
                raised=True,
            ),
            Frame(_OF_MODELS, _OF_ITSELF, "vllm: models, layers, kernels", raised=True),
            Frame(_OF_RUNNERS, _OF_COMBINATIONS, "vllm/v1/worker", raised=True),
            Frame(
                r"-packages/torch/(?!distributed/|cuda/)",
                r"^(?:Value|Runtime|Assertion)Error: .*"
                r"\b(?:shapes?|dims?|dimensions?|dtypes?|tensors?|strides?)\b",
                "torch, of tensors that do not fit each other",
                raised=True,
            ),
            Frame(_VLLM, _TENSORS, "torch: aten/src/ATen, c10; kernels"),
        ),
        told=_not_made_for,
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
        unless=UNLESS,
        signs={
            r"Duplicated timeseries in CollectorRegistry": "prometheus_client/registry.py",
            r"Method '\w+' is not implemented": "vllm/utils, serial_utils.py: run_method since 0.7",
        },
        frames=(
            Frame(
                rf"{_VLLM}(?!{_SETTINGS})|{_PACKAGE}|/multiprocessing/",
                f"{_SLIP}|{_MISTAKE}",
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
                _VLLM + r"(?:\S*/)?(?:ops|kernels|fused_moe|layers|models|attention|worker)/\S*"
                r":(?!__init__$|create_weights$|_?(?:verify|validate|check|select|get)\w*$)",
                rf"^AssertionError: (?!.*{_OF_A_HOST})",
                "vllm, of the data that its parts hand to each other",
                raised=True,
            ),
            Frame(rf"{_VLLM}|-packages/", _STD, "the C++ library, by pybind11"),
            Frame(
                r"-packages/torch/_library/",
                r"^(?:ValueError|RuntimeError|TypeError)\b",
                "torch/_library, of an operator that a package registers",
                raised=True,
            ),
            Frame(
                NOWHERE,
                _TENSORS,
                "torch: aten/src/ATen; kernels, of parts whose traceback is not there",
                bare=True,
            ),
            Frame(
                NOWHERE,
                rf"(?!{NAME}(?:Key|Index)Error\b|.*\bLoRA\b){_MISTAKE}",
                "Python, of a process of vLLM whose traceback is not there",
            ),
        ),
        told=_mistaken,
    ),
)
