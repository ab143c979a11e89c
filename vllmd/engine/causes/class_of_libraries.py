"""What the class of an exception tells that a library raised, where its message is not known.

What a library refuses is mostly of its subject, whatever it says: files, a compiler, a tokenizer.
Read from: torch 2.13, transformers 5.19, huggingface_hub 2.4, triton 3.9, safetensors 0.8, beside
vLLM 0.32.
"""

from vllmd.engine.causes.accelerators import NOT_OF_THE_CODE
from vllmd.engine.causes.base import Cause, Frame, Kind, Rank


def any_of(*patterns: str) -> str:
    """Return a pattern of either of these."""
    return f"(?:{'|'.join(patterns)})"


UNLESS = any_of(
    NOT_OF_THE_CODE,
    r"Errno|os error",
    r"\bHTTP",
    r"[Tt]imed? ?out",
    r"[Ss]ubprocess|[Pp]rocess ?[Pp]ool",
    r"NVML|CUDACachingAllocator",
)
"""Words of the host, of its processes and GPUs, and of networks: whoever raised it, it is not about
the code.
"""
NAME = r"^(?:\S*\.)?"
_PARTS = r"transformers/" + any_of(
    r"(?:image_|video_)?processing_\w+\.py:",
    r"feature_extraction_\w+\.py:",
    r"(?:image|video|audio)_utils\.py:",
    r"models/\w+/(?:(?:image_|video_)?processing|feature_extraction)_\w+\.py:",
)
_TOKENIZERS = any_of(
    r"transformers/(?:models/\w+/)?tokenization_\w+\.py:",
    r"transformers/integrations/mistral/",
    r"transformers/generation/configuration_utils\.py:",
    r"packages/tokenizers/",
    r"mistral_common/",
    r"tiktoken/",
)
_REFUSES = NAME + any_of(
    r"(?:NotImplemented|Value|Type|Key|Index|Attribute|Runtime|Assertion)Error\b",
    r"Exception\b|\w*(?:Config|Parsing|Validation|Compilation|PTXAS)\w*(?:Error)?\b",
)
_KERNEL_PACKAGES = any_of(
    *("flashinfer", "deep_gemm", "xformers", "flash_attn", "vllm_flash_attn", "aiter", "flash_mla"),
    *("sgl_kernel", "bitsandbytes", "torchao", "tilelang", "tvm", "cutlass", "helion", "quack"),
    *("marlin", "auto_gptq", "gptqmodel", "deep_ep", "compressed_tensors", "xgrammar", "outlines"),
    *("llguidance", "lmformatenforcer", "mamba_ssm", "causal_conv1d"),
)
_MEDIA = r"(?:PIL|librosa|soundfile|av|decord|cv2|torchvision|torchaudio|torchcodec)"


def _of(
    name: str,
    where: str,
    source: str,
    explanation: str,
    advice: str,
    *,
    kind: Kind = Kind.CONFIGURATION,
    says: str = _REFUSES,
    weak: bool = False,
) -> Cause:
    """Return the cause of what a library raises in a start."""
    return Cause(
        name=name,
        kind=kind,
        rank=Rank.CLASS,
        starting=True,
        weak=weak,
        explanation=explanation,
        advice=advice,
        unless=UNLESS,
        frames=(Frame(where, says, source, raised=True),),
    )


CAUSES = (
    Cause(
        name="broken_install",
        kind=Kind.CONFIGURATION,
        rank=Rank.CLASS,
        starting=True,
        at_import=True,
        explanation="A module of this vLLM, or of a package beside it, could not be imported.",
        advice="Install vLLM anew into an environment of its own ('vllmd engine install').",
        unless=UNLESS,
        frames=(
            Frame(
                r"(?:site|dist)-packages/(?!vllm/entrypoints/)\S*:<module>$",
                r"^(?:\S*\.)?\w*(?:Error|Exception)\b",
                "Python, of any module",
            ),
        ),
    ),
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
        unless=UNLESS,
        frames=(
            Frame(
                _PARTS,
                NAME
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
        unless=UNLESS,
        frames=(
            Frame(
                _TOKENIZERS,
                NAME + r"(?:Exception\b|(?:NotImplemented|Value|Type|Key|Index|Attribute)Error\b)",
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
        unless=UNLESS,
        frames=(
            Frame(
                r"/(?:gguf|safetensors)/\w+\.py:",
                NAME + r"(?:ValueError|KeyError|IndexError|EOFError|AssertionError)\b",
                "gguf: gguf_reader.py; safetensors",
                raised=True,
            ),
        ),
    ),
    _of(
        "driver_mismatch",
        r"/(?:pynvml|vllm/third_party/pynvml)\.py:",
        "pynvml.py",
        "What the GPU's driver answers, its library (NVML) for Python cannot read.",
        "Look at 'nvidia-smi' as the engine's user; install another driver, or another pynvml.",
        kind=Kind.DRIVER,
        says=NAME + r"(?:UnicodeDecode|Type|Attribute|Value)Error\b",
    ),
    _of(
        "broken_install",
        r"/(?:huggingface_hub|hf_xet|hf_transfer|modelscope)/|/python3\.\d+/argparse\.py:",
        "huggingface_hub, Python: what calls it was made for another version",
        "A package of this vLLM is not of the version that another one was made for.",
        "Install vLLM anew into an environment of its own ('vllmd engine install').",
        says=NAME
        + any_of(
            r"TypeError: .*"
            r"(?:unexpected keyword argument|required (?:positional|keyword-only) argument)",
            r"AttributeError: .*has no attribute",
        ),
    ),
    _of(
        "broken_install",
        r"-packages/",
        "torchao, setuptools and others, of a version that they refuse",
        "A package of this vLLM is not of the version that another, or a file of the model, needs.",
        "Install the versions that the evidence names ('vllmd engine install').",
        says=NAME + r"\w*Version\w*(?:Mismatch|Conflict)\w*\b",
    ),
    _of(
        "weights_damaged",
        r"torch/(?:serialization|_weights_only_unpickler|storage)\.py:|/(?:zipfile|pickle|tarfile|gzip)",
        "torch/serialization.py; Python",
        "A file of the model is not of the form that its name says.",
        "Remove the file and download the model again, or take another file of it.",
    ),
    _of(
        "checkpoint_mismatch",
        r"torch/nn/modules/module\.py:load_state_dict$",
        "torch/nn/modules/module.py",
        "The model's weights are not those that the code for this model expects.",
        "Take the model as its owner published it, or a vLLM of another version.",
    ),
    _of(
        "compiler_missing",
        r"torch/utils/cpp_extension\.py:|triton/runtime/build\.py:|flashinfer/jit/cpp_ext\.py:",
        "torch/utils/cpp_extension.py, triton/runtime/build.py, flashinfer/jit/cpp_ext.py",
        "Code for the GPU could not be compiled: the compiler, or a header, does not do for it.",
        "Install a C++ compiler, Python's headers and CUDA's nvcc of torch's version (CUDA_HOME).",
    ),
    Cause(
        name="compile_failed",
        kind=Kind.TRANSIENT,
        rank=Rank.CLASS,
        explanation="A process that compiled the model's code was killed, or crashed.",
        advice=(
            "Look for the kernel's OOM killer (journalctl -k -g oom); with "
            "TORCHINDUCTOR_COMPILE_THREADS = 1 in the engine's env it needs less memory."
        ),
        signs={
            r"A compilation subprocess exited unexpectedly": "torch/_inductor/async_compile.py",
        },
        frames=(
            Frame(
                r"torch/_inductor/",
                NAME + r"BrokenProcessPool\b",
                "Python: concurrent/futures/process.py, of torch/_inductor/async_compile.py",
            ),
        ),
    ),
    _of(
        "compile_failed",
        r"torch/_inductor/",
        "torch/_inductor",
        "The model could not be compiled for this engine (torch.compile).",
        "Set enforce_eager = true, which does without and is slower.",
        says=NAME + r"RuntimeError\b",
        weak=True,
    ),
    _of(
        "compile_failed",
        r"torch/(?:_dynamo|_functorch|_subclasses|fx|export)/",
        "torch/_dynamo, torch/fx",
        "The model could not be compiled for this engine (torch.compile).",
        "Set enforce_eager = true, which does without and is slower.",
    ),
    _of(
        "compile_failed",
        r"torch/_inductor/",
        "torch/_inductor",
        "The model could not be compiled for this engine (torch.compile).",
        "Set enforce_eager = true, which does without and is slower.",
        says=r"^(?!RuntimeError\b)" + _REFUSES,
    ),
    _of(
        "gpu_unsupported",
        r"triton/(?:compiler|language|backends|runtime)/",
        "triton/compiler, triton/language",
        "Triton could not make a kernel for this GPU of what the model needs.",
        "Take another attention backend, dtype or quantization, or set enforce_eager = true.",
        weak=True,
    ),
    _of(
        "no_gpu",
        r"torch/(?:cuda|xpu)/__init__\.py:",
        "torch/cuda/__init__.py",
        "PyTorch cannot use the GPU that it was told to use.",
        "Look at 'nvidia-smi' as the engine's user, and at CUDA_VISIBLE_DEVICES.",
        weak=True,
    ),
    _of(
        "parallel_misfit",
        r"torch/distributed/",
        "torch/distributed/distributed_c10d.py",
        "The engine's processes were divided in a way that PyTorch does not take.",
        "Look at tensor_parallel_size and its like, and at how many GPUs there are.",
        says=NAME + r"(?:Value|Assertion|Runtime)Error: .*(?i:rank|world.?size|group.?size|range)",
        weak=True,
    ),
    _of(
        "broken_install",
        r"torch/(?:_ops|library)\.py:|/(?:numba|llvmlite|numpy)/",
        "torch/_ops.py, torch/library.py; numba, numpy",
        "A package of this vLLM is not of the version that another one was made for.",
        "Install vLLM anew into an environment of its own ('vllmd engine install').",
        weak=True,
    ),
    _of(
        "unsupported_model",
        r"transformers/(?:modeling_utils|core_model_loading|conversion_mapping|configuration_utils"
        r"|dynamic_module_utils|modeling_rope_utils|masking_utils|initialization)\.py:"
        r"|transformers/(?:quantizers|integrations|models|utils/quantization_config)",
        "transformers: modeling_utils.py, quantizers, integrations, models",
        "Transformers cannot make this model, or not in this form or quantization.",
        "Install the versions that the model's page names ('vllmd engine install').",
    ),
    _of(
        "model_not_found",
        r"huggingface_hub/",
        "huggingface_hub",
        "The model hub's client does not take the model's name, or what it found of it.",
        "Correct model in the engine's configuration; a folder needs its absolute path.",
        says=NAME + r"(?:\w*Validation|Value|Type|Key)\w*Error\b",
        weak=True,
    ),
    _of(
        "hub_unreachable",
        r"/(?:huggingface_hub|hf_xet|hf_transfer|modelscope|runai_model_streamer)/",
        "huggingface_hub, hf_xet and their like",
        "The model could not be downloaded.",
        "Another start tries again. If it stays: look at the network, a proxy, HF_ENDPOINT.",
        kind=Kind.TRANSIENT,
        says=NAME + r"\w*(?:Error|Exception)\b",
        weak=True,
    ),
    _of(
        "checkpoint_mismatch",
        r"vllm/model_executor/model_loader/",
        "vllm/model_executor/model_loader",
        "The model's files are not what vLLM's loader expects.",
        "Take the model as its owner published it, or another load_format.",
        weak=True,
    ),
    _of(
        "compile_failed",
        r"vllm/compilation/",
        "vllm/compilation",
        "The model could not be compiled for this engine (torch.compile).",
        "Set enforce_eager = true, which does without and is slower.",
        kind=Kind.TRANSIENT,
        weak=True,
    ),
    _of(
        "processor_failed",
        rf"/{_MEDIA}/",
        "PIL, librosa, soundfile, PyAV, OpenCV",
        "What prepares images, audio or video for the model does not work here.",
        "Install what the model's page names; without images: limit-mm-per-prompt among the flags.",
    ),
    _of(
        "config_rejected",
        r"/(?:jinja2|yaml|tomllib|pydantic|pydantic_settings|uvicorn|opentelemetry)/|/ssl\.py:",
        "jinja2, PyYAML, pydantic, uvicorn, ssl",
        "A file or a setting that the engine was given is not of the form that it has to be.",
        "Correct what the evidence names.",
        says=NAME + r"\w*(?:Error|Exception)\b",
    ),
    _of(
        "storage_failed",
        r"/filelock/",
        "filelock",
        "A lock of a file could not be had.",
        "Look at who has the lock ('fuser'), and at the mount that it is on.",
        kind=Kind.TRANSIENT,
        says=NAME + r"\w*(?:Error|Timeout)\b",
        weak=True,
    ),
    _of(
        "unsupported_combination",
        rf"/{_KERNEL_PACKAGES}/",
        "flashinfer, deep_gemm, xformers, flash_attn, bitsandbytes, compressed_tensors and others",
        "A library of kernels or formats does not do what this model asks for on this GPU.",
        "Take another quantization, dtype or attention backend, or leave out the feature that the "
        "traceback names.",
    ),
    Cause(
        name="unsupported_combination",
        kind=Kind.CONFIGURATION,
        rank=Rank.CLASS,
        starting=True,
        explanation="A kernel that the model needs takes more of the TPU's own memory than it has.",
        advice="Lower max_num_batched_tokens or max_model_len, or take another version of vLLM.",
        signs={r"[Rr]an out of memory in memory space (?:vmem|smem)": "XLA: xla/service, of TPUs"},
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
        unless=rf"{NOT_OF_THE_CODE}|backend type|[Uu]nknown|[Cc]ontiguous",
        frames=(
            Frame(
                r"torch/distributed/\S*:(?:_create_c10d_store|_tcp_rendezvous_handler"
                r"|_env_rendezvous_handler|init_process_group|new_group|_new_process_group_helper"
                r"|_new_group_with_tag)$",
                NAME + r"(?:RuntimeError|Dist\w*Error|TimeoutError)\b",
                "torch/distributed: rendezvous.py, distributed_c10d.py",
                raised=True,
            ),
        ),
    ),
)
