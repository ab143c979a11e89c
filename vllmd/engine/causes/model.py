"""The model: an architecture that vLLM does not know, files that do not fit or are damaged."""

import re

from vllmd.engine.causes.accelerators import NOT_OF_THE_CODE
from vllmd.engine.causes.base import Cause, Found, Frame, Kind, Rank, Told


def _architecture(found: Found) -> Told:
    kind = re.search(r"model type `([^`]+)`", found.whole)
    if kind:
        return Told(
            f"Install a newer vLLM ('vllmd engine install'), whose Transformers knows "
            f"{kind[1]}, or "
            "take another model."
        )
    gone = re.search(r"was supported in vLLM until v?([\w.]+)", found.whole)
    if gone:
        return Told(f"Install vLLM {gone[1].rstrip('.,')}, or take another model.")
    return Told()


def _file(found: Found) -> Told:
    path = re.search(r"'(/[^']+)'|(/\S+\.(?:safetensors|bin|json|gguf))", found.whole)
    if path is None:
        return Told()
    return Told(
        f"Remove {path[1] or path[2]} and download it again; it is cut off or no such file."
    )


CAUSES = (
    Cause(
        name="unsupported_model",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation="This version of vLLM, or of Transformers beside it, does not know this model.",
        advice="Install a newer vLLM ('vllmd engine install'), or take a model that it supports.",
        signs={
            r"does not recognize this architecture": (
                "transformers/models/auto/configuration_auto.py"
            ),
            r"[Mm]odel architectures? .*(?:not supported|failed to be inspected|was supported)": (
                "vllm/model_executor/models/registry.py since 0.2"
            ),
            r"GGUF model with architecture \S+ is not supported": (
                "transformers/modeling_gguf_pytorch_utils.py"
            ),
            r"Unknown gguf model_type": "vllm/model_executor/model_loader/gguf_loader.py 0.5 "
            "to 0.30",
            r"Cannot find model module|No model architectures are specified": (
                "vllm/model_executor/models/registry.py since 0.7"
            ),
            r"Transformers implementation (?:of \S+ )?is not compatible"
            r"|has no vLLM implementation": ("vllm/model_executor/models/registry.py since 0.7"),
            r"Unrecognized (?:model in|configuration class|processing class"
            r"|(?:image|video|audio) processor|feature extractor)": (
                "transformers/models/auto/auto_factory.py, processing_auto.py"
            ),
            r"Should have a `model_type` key in its config": (
                "transformers/models/auto/configuration_auto.py"
            ),
            r"Tokenizer class \S+ does not exist or is not currently imported": (
                "transformers/models/auto/tokenization_auto.py"
            ),
            r"StrictDataclass\w*Error": "huggingface_hub/dataclasses.py, of config.json",
            r"`?rope_scaling`? must (?:be a dictionary|have)": "transformers, older than the model",
        },
        frames=(
            Frame(
                r"transformers/models/auto/configuration_auto\.py",
                r"^KeyError\b",
                "transformers/models/auto/configuration_auto.py",
            ),
            Frame(
                r"transformers/(?:modeling_rope_utils|configuration_utils"
                r"|models/\w+/configuration_\w+)\.py",
                r"^(?:KeyError|ValueError|TypeError)\b",
                "transformers, of what the model's config.json has",
                raised=True,
            ),
            Frame(
                r"transformers_modules/",
                r"^(?:KeyError|ValueError|TypeError|AttributeError|NameError)\b",
                "the model's own code, made for another Transformers",
                raised=True,
            ),
        ),
        told=_architecture,
    ),
    Cause(
        name="weights_damaged",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation="A file of the model is missing, cut off or damaged.",
        advice=(
            "Remove the file and download the model again; a file of a few hundred bytes is a "
            "pointer "
            "of Git LFS."
        ),
        signs={
            r"SafetensorError": "safetensors",
            r"(?:Metadata|Header|Invalid)\w*(?:IncompleteBuffer|TooLarge|Deserialization|Offset)": (
                "safetensors: src/tensor.rs"
            ),
            r"Cannot find any (?:\w+ )?model weights": (
                "vllm/model_executor/model_loader/default_loader.py since 0.2, "
                "runai_streamer_loader.py since 0.6"
            ),
            r"Could not find checkpoint files": (
                "vllm/model_executor/model_loader/sharded_state_loader.py since 0.3"
            ),
            r"[Ww]eight files referenced in index but missing": (
                "vllm/model_executor/model_loader/weight_utils.py since 0.30"
            ),
            r"PytorchStreamReader failed|invalid load key": "torch/serialization.py",
            r"No such file or directory: '?[^']*\.(?:safetensors|bin|pt|gguf)\b": "Python",
            r"could not parse ModelProto from|: No such file or directory Error #2": (
                "sentencepiece: src/sentencepiece_processor.cc, src/filesystem.cc"
            ),
            r"^Exception: (?:EOF while parsing|expected (?:value|`.`|ident)|invalid type: )"
            r".* at line \d+ column": "tokenizers, of serde_json",
            r"Error parsing line b['\"].* in ": "tiktoken/load.py since 0.6",
            r"invalid tiktoken vocab file": "openai_harmony: src/tiktoken.rs, of its own cache",
            r"instantiate the backend tokenizer from one of": (
                "transformers/tokenization_utils_fast.py, tokenization_utils_tokenizers.py"
            ),
            r"Unable to load (?:vocabulary|weights) from": (
                "transformers/tokenization_utils_base.py, modeling_utils.py"
            ),
            r"is not a valid JSON file": "transformers/configuration_utils.py",
            r"Error no file named .* found in directory": "transformers/modeling_utils.py",
        },
        unless=r"[Ii]/?O error|os error (?:5|28|116)|adapter_|torch_compile_cache",
        frames=(
            Frame(
                r"(?:weight_utils|torch/serialization|configuration_utils|transformers_utils/config"
                r"|tokenization_utils\w*|model_loader/\w+)\.py",
                r"^(?:json\.decoder\.JSONDecodeError|EOFError|UnicodeDecodeError|zipfile\.BadZipFile"
                r"|(?:_?pickle\.)?UnpicklingError)",
                "Python, of a file of the model",
            ),
            Frame(
                r"transformers/convert_slow_tokenizer\.py|sentencepiece/__init__\.py",
                r"^(?:ValueError|OSError|RuntimeError|KeyError|TypeError: not a string)",
                "transformers, sentencepiece: of the tokenizer's files",
                raised=True,
            ),
        ),
        told=_file,
    ),
    Cause(
        name="weights_damaged",
        kind=Kind.CONFIGURATION,
        rank=Rank.BROAD,
        starting=True,
        explanation="A file that the engine read at its start is cut off or damaged.",
        advice="Remove the file and download the model again.",
        signs={
            r"unexpected end of (?:data|file)|file is too short|truncated (?:file|header|archive)"
            r"|(?:file|archive|header) (?:is|was|has been) truncated": "zlib, torch"
        },
        unless=r"[Ii]/?O error|os error (?:5|28|116)|adapter_|torch_compile_cache",
        told=_file,
    ),
    Cause(
        name="checkpoint_mismatch",
        kind=Kind.CONFIGURATION,
        rank=Rank.WORK,
        explanation="The model's weights are not those that vLLM's code for this model expects.",
        advice=(
            "Take the model as its owner published it, or a vLLM of another version; a "
            "quantization "
            "that vLLM has no code for shows so too."
        ),
        signs={
            r"weights were not initialized from checkpoint": (
                "vllm/model_executor/model_loader/default_loader.py since 0.7"
            ),
            r"^KeyError: '[\w.]+\.(?:weight|bias|qweight|qzeros|scales|g_idx)\w*'": (
                "vllm/model_executor/models: load_weights, of params_dict"
            ),
            r"^KeyError: '(?:\w+\.)*layers\.\d+\.[\w.]*(?:scales?|zeros?|packed|_proj|_shape"
            r"|_bias|experts)(?:\.?\w{1,12})?'": (
                "vllm/model_executor/models: load_weights, of a quantization's own parts"
            ),
            r"There is no module or parameter named": (
                "vllm/model_executor/models/utils.py since 0.6"
            ),
            r"Attempted to load weight \(": (
                "vllm/model_executor/model_loader/weight_utils.py since 0.5"
            ),
            r"size mismatch for [\w.]+: copying": "torch/nn/modules/module.py",
            r"Failed to map GGUF parameters": (
                "vllm/model_executor/model_loader/gguf_loader.py 0.10 to 0.30"
            ),
            r"\b[Uu]nexpected (?:weights?|keys?)\b": "vllm/model_executor/models/transformers/b"
            "ase.py since 0.8",
        },
        frames=(
            Frame(
                r":_?(?:load_weights|weight_loader|default_weight_loader|load_\w*_weight\w*)$"
                r"|/(?:models|layers|model_loader)/.*:_load_\w+$",
                r"^(?:KeyError|AssertionError|AttributeError|IndexError|ValueError|TypeError"
                r"|RuntimeError: (?:The size of tensor|start \(|shape|The expanded size"
                r"|Tensors must))",
                "vllm/model_executor/models: load_weights",
                elsewhere=r"/(?:huggingface_hub|hf_xet|modelscope|requests|urllib3|httpx)/",
            ),
            Frame(
                r":process_weights_after_loading$",
                r"^(?:KeyError|AssertionError|AttributeError|IndexError|ValueError|TypeError)",
                "vllm/model_executor/layers/quantization: of what the files had for a layer",
            ),
        ),
        unless=rf"{NOT_OF_THE_CODE}|\bdivisible\b|Errno"
        r"|\bnot supported\b|\bonly supported\b|[Cc](?:ould ?not|annot) find|\bfiles? not found",
    ),
    Cause(
        name="processor_failed",
        kind=Kind.CONFIGURATION,
        rank=Rank.WORK,
        explanation=(
            "What prepares images, audio or video for the model (its processor) does not work with "
            "this Transformers, or with the model's files."
        ),
        advice=(
            "Install the versions that the model's page names ('vllmd engine install'); without "
            "images: limit-mm-per-prompt = '{\"image\": 0}' among the flags."
        ),
        starting=True,
        signs={
            r"Failed to apply \w+ on data=": "vllm/multimodal/processing/context.py 0.8 to 0.30",
            r"Invalid type of HuggingFace processor": (
                "vllm/transformers_utils/processor.py since 0.7"
            ),
            r"Received an? \S+ for argument \w+, but an? .* was expected": (
                "transformers/processing_utils.py"
            ),
            r"Failed to apply prompt replacement": (
                "vllm/multimodal/processing/processor.py since 0.7"
            ),
        },
    ),
    Cause(
        name="checkpoint_mismatch",
        kind=Kind.CONFIGURATION,
        rank=Rank.BROAD,
        starting=True,
        explanation=("Parts of the model are not of the shape that vLLM's code for it expects."),
        advice="Take the model as its owner published it, or a vLLM of another version.",
        signs={
            r"[Ss]hape mismatch": "vllm/model_executor",
            r"shapes cannot be multiplied": "torch: aten/src/ATen, of two parts of a model",
        },
        unless=r"broadcast to indexing result|tensor \w \(0\)",
    ),
)
