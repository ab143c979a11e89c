"""The installation: libraries that do not fit together, a compiler that is not there."""

import re

from vllmd.engine.causes.base import Cause, Found, Frame, Kind, Rank, Told
from vllmd.engine.causes.memory import COMPILER_KILLED

_COMPILERS = {
    "Unsupported gpu architecture": Told(
        "Install a newer CUDA toolkit, and set CUDA_HOME in the engine's env to it.",
        "CUDA's compiler (nvcc) here is older than this GPU.",
    ),
    "unsupported GNU version": Told(
        "Install a g++ that the evidence names, or a newer CUDA toolkit (CUDA_HOME).",
        "CUDA's compiler (nvcc) here does not work with the C++ compiler beside it.",
    ),
    "mismatches the version": Told(
        "Install the CUDA toolkit of the version that PyTorch was built with (the evidence has "
        "both), and set CUDA_HOME in the engine's env to it.",
        "CUDA's compiler (nvcc) here is of another CUDA version than PyTorch.",
    ),
    "nvcc fatal": Told(
        "Install a newer CUDA toolkit, and set CUDA_HOME in the engine's env to it.",
        "CUDA's compiler (nvcc) here does not do what FlashInfer or torch asks of it.",
    ),
    "detected in the compilation of": Told(
        "Install a CUDA toolkit of torch's version (CUDA_HOME), and what vLLM asks for, in its "
        "versions ('vllmd engine install').",
        "CUDA's compiler (nvcc) could not compile a kernel: it, or its headers, do not fit.",
    ),
    "NVRTC": Told(
        "Install what vLLM asks for, in its versions ('vllmd engine install'), or a newer CUDA "
        "toolkit (CUDA_HOME).",
        "CUDA's compiler for kernels at run time (NVRTC) could not compile one.",
    ),
    "nvcc": Told("Install CUDA's compiler (nvcc), and set CUDA_HOME in the engine's env to it."),
}
"""What is told of a compiler, by words of its message: the first that it has."""


_OF_PACKAGES = r"^(?:\S*\.)?(?:(?:Runtime|Value|Assertion|NotImplemented)Error|Exception)\b.*"


def _compiler(found: Found) -> Told:
    header = re.search(r"fatal error: (\S+\.(?:h|hh|hpp|cuh|inc))\b", found.whole)
    if header and header[1] == "Python.h":
        return Told("Install Python's headers (Debian: python3-dev), of the engine's Python.")
    if header:
        return Told(f"Install the package that has {header[1]}.")
    return next((told for words, told in _COMPILERS.items() if words in found.whole), Told())


def _library(found: Found) -> Told:
    missing = re.search(r"(lib[\w+.-]+\.so[\w.]*): cannot open shared object", found.whole)
    if missing:
        return Told(
            f"Install vLLM and torch of one CUDA version into one environment: {missing[1]} is not "
            "there ('vllmd engine install' does so)."
        )
    module = re.search(r"No module named '([^']+)'", found.whole)
    if module:
        return Told(f"Install {module[1].split('.')[0]} into the engine's environment.")
    return Told()


CAUSES = (
    Cause(
        name="broken_install",
        kind=Kind.CONFIGURATION,
        rank=Rank.HOST,
        explanation="The packages or libraries of this vLLM do not fit together.",
        advice=(
            "Install vLLM anew into an environment of its own ('vllmd engine install'), without "
            "changing the versions that it asks for."
        ),
        signs={
            r"lib(?!cuda\.so)[\w+.-]+\.so[\w.]*: cannot open shared object": "the loader",
            r"error while loading shared libraries|symbol lookup error": "the loader",
            r"version `(?:GLIBC|GLIBCXX|CXXABI)_\S+ not found": "the loader",
            r"undefined symbol:": "the loader",
            r"^(?:\S*\.)?(?:ImportError|ModuleNotFoundError)\b|No module named '": "Python",
            r"version \(\S+\) does not match \S+ version \(": "flashinfer/jit/__init__.py",
            r"PackageNotFoundError|DistributionNotFound"
            r"|VersionConflict": "Python: importlib.metadata",
            r"Descriptors cannot be created directly": "google/protobuf/descriptor.py",
            r"Torch not compiled with|is not linked with support for|have NCCL built in": (
                "torch: cuda/__init__.py, distributed/distributed_c10d.py"
            ),
            r"invalid ELF header|wrong ELF class|cannot allocate memory in static TLS block"
            r"|\.so[\w.]*: (?:file too short|cannot enable executable stack)": "the loader",
            r"^Intel MKL FATAL ERROR": "MKL",
            r"Could not run '\S+' with arguments from the '\w+' backend": "torch/_ops.py",
            r"Failed to import Ray|Ray is not installed": "vllm/v1/executor/ray_utils.py since 0.4",
            r"numpy\.dtype size changed|A module that was compiled using NumPy 1": "numpy",
            r"cuDNN version incompatibility|CUDNN_STATUS_\w*(?:SUBLIBRARY|VERSION_MISMATCH)"
            r"|(?:Unable to load any of|Could not load library) \{?libcudnn": (
                "torch/backends/cudnn/__init__.py; cuDNN"
            ),
            r"\w+ backend is (?:not available|unavailable)\b.*(?:[Ii]nstall|environment)": (
                "vllm/utils/flashinfer.py, vllm/utils/deep_gemm.py since 0.10"
            ),
            r"Only one platform plugin can be activated": "vllm/platforms/__init__.py since 0.7",
            r"data did not match any variant of untagged enum": "tokenizers, older than the file",
            r"operator \S+ does not exist"
            r"|_OpNamespace' '\S+' object has no attribute|'_(?:moe_|rocm_)?C' object has no": (
                "torch/_ops.py"
            ),
            r"(?:is required|are required) (?:for|by) .*but (?:found|got)|requires \S+[<>=]=\S+": (
                "transformers/utils/versions.py"
            ),
            r"has no attribute '?(?:all_special_tokens_extended|rope_scaling|rope_theta)": (
                "transformers of another major version"
            ),
        },
        unless=(
            r"libcuda\.so\.1|circular import of|OpenTelemetry|/\.cache/flashinfer/"
            r"|/torch_extensions/"
        ),
        at_import=True,
        frames=(
            Frame(
                r"<frozen importlib|:_call_with_frames_removed$|:_find_and_load",
                r"^(?:\S*\.)?(?:AttributeError|TypeError|NameError|SyntaxError|OSError|RuntimeError"
                r"|ValueError)\b",
                "Python, while a module was imported",
            ),
            Frame(
                r"transformers/(?:tokenization|processing|modeling)_utils\w*\.py:"
                r"__getattr(?:ibute)?__",
                r"^AttributeError\b",
                "transformers of another version than vLLM was made for",
            ),
        ),
        told=_library,
    ),
    Cause(
        name="broken_install",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        explanation="Ray or Python on this host is of another version than in Ray's cluster.",
        advice=(
            "Install one version of Ray and of Python on every host (the evidence has both), and "
            "start the cluster anew."
        ),
        signs={r"Version mismatch: The cluster was started with": "ray/_private/utils.py"},
    ),
    Cause(
        name="broken_install",
        kind=Kind.CONFIGURATION,
        rank=Rank.BROAD,
        starting=True,
        explanation="A package of this vLLM is not of the version that another one was made for.",
        advice="Install vLLM anew into an environment of its own ('vllmd engine install').",
        signs={
            r"^AttributeError: module '[\w.]+' has no attribute": "Python",
            r"^(?:SyntaxError|IndentationError|TabError)\b|marshal data too short"
            r"|bad magic number in": "Python, of a file of a package",
            rf"{_OF_PACKAGES}(?:[Pp]lease|[Ee]nsure|[Mm]ake sure|[Tt]ry|[Rr]un|[Rr]equires?"
            r"|[Nn]eeds?|[Mm]ust be)\b.*\binstall(?:ed|ing|ation)?\b": "vllm and others",
            rf"{_OF_PACKAGES}(?:pip3? install |is not installed|working \w+ installation)": (
                "vllm, torch and others, of a package that is not there"
            ),
            r"incompatible constructor arguments": "pybind11, of torch's own classes",
            r"^RuntimeError: [2-9] (?:active drivers|compatible backends)": (
                "triton/runtime/driver.py: two packages that have triton"
            ),
        },
        unless=r"(?:CUDA|HIP|NCCL)\b.*\b[Ee]rror|\b(?:cuda|hip)[A-Z]\w+|NVML|Errno|out of memory",
        at_import=True,
        frames=(
            Frame(
                r"(?:site|dist)-packages/(?!vllm/entrypoints/)\S*:<module>$",
                r"^(?:\S*\.)?(?:AttributeError|TypeError|NameError|OSError|RuntimeError|ValueError"
                r"|KeyError|AssertionError)\b",
                "Python, while a module was imported",
            ),
        ),
        told=_library,
    ),
    Cause(
        name="compiler_missing",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation=(
            "vLLM compiles code for the GPU at its start, and a compiler or a header is not there."
        ),
        advice=(
            "Install a C++ compiler, Python's headers and, for FlashInfer, CUDA's nvcc (Debian: "
            "build-essential python3-dev), and set CUDA_HOME where they are."
        ),
        signs={
            r"fatal error: (?:\S+\.(?:h|hh|hpp|cuh|inc): No such file|'\S+' file not found)": (
                "gcc, clang"
            ),
            r"cannot find -l\w+": "GNU ld",
            r"Could not find nvcc|nvcc['\"]?: (?:command )?not found"
            r"|No such file or directory: '\S*(?:nvcc|ninja|gcc|g\+\+|/cc|clang)'": (
                "flashinfer/jit/cpp_ext.py; Python: subprocess.py"
            ),
            r"Ninja build failed|ninja: (?:command )?not found|Ninja is required": (
                "flashinfer/jit/cpp_ext.py; torch/utils/cpp_extension.py"
            ),
            r"^ninja: build stopped|errors? detected in the compilation of": (
                "ninja; CUDA's nvcc, of FlashInfer's kernels"
            ),
            r"Failed to find C compiler|No working C\+\+ compiler|InvalidCxxCompiler": (
                "triton/runtime/build.py; torch/_inductor/exc.py"
            ),
            r"Unsupported \.version \d": "CUDA's ptxas, older than what made the code",
            r"detected CUDA version .* mismatches the version": "torch/utils/cpp_extension.py",
            r"CUDA_HOME (?:environment variable )?is not set|set CUDA_HOME": (
                "torch/utils/cpp_extension.py"
            ),
            r"CalledProcessError: Command '?\[?'\S*(?:gcc|g\+\+|/cc|clang|nvcc)'": (
                "triton/runtime/build.py"
            ),
            r"libcuda\.so cannot found": "triton/backends/nvidia/driver.py",
            r"NVCC compil(?:er not found|ation failed)|[Cc]annot find NVCC": (
                "deep_gemm: csrc/jit/compiler.hpp"
            ),
            r"CppCompileError|C\+\+ compile error": "torch/_inductor/exc.py",
            r"NVRTC (?:compilation failed|error)|NVRTC_ERROR_COMPILATION": (
                "deep_gemm: csrc/jit/compiler.hpp; torch: aten/src/ATen/cuda"
            ),
        },
        unless=rf"No space left|Permission denied|{COMPILER_KILLED}",
        told=_compiler,
    ),
    Cause(
        name="compile_failed",
        kind=Kind.CONFIGURATION,
        rank=Rank.BROAD,
        explanation="The model could not be compiled for this engine (torch.compile).",
        advice=(
            "Set enforce_eager = true, which does without and is slower, or install another "
            "version ('vllmd engine install')."
        ),
        starting=True,
        signs={
            r"^torch\._(?:dynamo|inductor)\.exc\.\w+": "torch/_dynamo/exc.py, _inductor/exc.py",
            r"^torch\.(?:fx|_functorch|_subclasses|export)\.\S*(?:Error|Exception)\b": (
                "torch/fx/experimental/symbolic_shapes.py, torch/_subclasses/fake_tensor.py"
            ),
        },
        unless=(
            r"(?:CUDA|HIP|Triton|NCCL) [Ee]rror|Errno|[Oo]ut ?[Oo]f ?[Mm]emory|NVML"
            r"|[Pp]rocess ?[Pp]ool|compilation subprocess"
        ),
    ),
    Cause(
        name="fork_cuda",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        explanation="CUDA was used in the process that vLLM then forked its workers from.",
        advice="Set VLLM_WORKER_MULTIPROC_METHOD=spawn in the engine's env.",
        signs={
            r"Cannot re-initialize \w+ in forked subprocess": "torch/cuda, torch/xpu, torch_npu"
        },
    ),
    Cause(
        name="main_guard_missing",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        explanation=(
            "The program that starts vLLM runs again in each process that vLLM makes, and starts "
            "vLLM there too."
        ),
        advice='Put what that program does under the line: if __name__ == "__main__".',
        signs={
            r"An attempt has been made to start a new process": (
                "Python: multiprocessing/spawn.py"
            ),
        },
    ),
)
