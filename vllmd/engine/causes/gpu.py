"""The GPU, its driver, and the build of vLLM for it."""

import re

from vllmd import xids
from vllmd.engine.causes import accelerators
from vllmd.engine.causes.base import Cause, Found, Frame, Kind, Rank, Told
from vllmd.xids import XidAction

_LASTING = xids.marks(XidAction.RESET, XidAction.REBOOT)
_CODES = "|".join(mark.removeprefix("xid_") for mark in sorted(_LASTING))
_XID = rf"NVRM: Xid \([^)]*\): (?:{_CODES})\b"
"""The kernel's word for a GPU that a restart of the engine does not fix."""


_BUSY = r"CUDA-capable device\S* (?:is/)?are busy or|exclusive-thread device already in use"
_MPS = r"\bMPS (?:client|server|control)|cudaErrorMps"
_IMAGE = (
    r"device kernel image is invalid|PTX JIT compilation (?:failed|was disabled)"
    r"|shared object (?:initialization failed|symbol not found)|named symbol not found"
)
_CAPTURE = r"stream is capturing|during capture\b|capturing blocking stream|capture sequence"
"""What cudaGetErrorString says of each: CUDA 11 to 13."""


_OTHER_CPU = r"^(?:\S*exec \S+|\S*sh: .*|.*[Cc]annot execute.*): [Ee]xec format error"


def _processor(found: Found) -> Told:
    if not re.search(_OTHER_CPU, found.whole):
        return Told()
    return Told(
        "Take the image or the packages for this host's architecture ('uname -m'; docker: "
        "--platform).",
        "The program was built for another kind of processor (arm64, amd64).",
    )


def _capability(found: Found) -> Told:
    if re.search(r"[Bb]float16 is only supported", found.whole):
        return Told('Set dtype = "half": this GPU computes in float16, not in bfloat16.')
    kernel = re.search(r"\"\w+\" not implemented for '(\w+)'", found.whole)
    if kernel:
        return Told(
            f"Take another dtype or quantization than {kernel[1]}.",
            "A kernel that the model needs is not there for numbers of its type.",
        )
    method = re.search(
        r"quantization method (\S+) is not supported for the current GPU", found.whole
    )
    if method:
        return Told(f"Take a model that is not quantized with {method[1]}, or a newer GPU.")
    return Told()


CAUSES = (
    Cause(
        name="gpu_fault",
        kind=Kind.HARDWARE,
        rank=Rank.HOST,
        explanation="The GPU reported a fault that a restart of the engine does not fix.",
        after_serving="GPUs break at work; until a reset or a replacement it fails again.",
        advice=(
            "Look at 'vllmd gpu' and 'journalctl -k -g NVRM'; the GPU needs a reset, a reboot or a"
            " replacement."
        ),
        signs={
            r"uncorrectable ECC error": "CUDA: cudaErrorECCUncorrectable",
            r"GPU is lost|fallen off the bus": "NVML; the driver",
            r"CUDA error: (?:unknown error|hardware stack error)": "CUDA",
            r"[Uu]ncorrectable NVLink|NVLink error|contained error"
            r"|GPU requires reset": "CUDA, NVML",
            r"over nvlink or a hardware error": "CUDA: cudaErrorContained",
        },
        refines=frozenset({"cuda_error"}),
        hint=_XID,
        marks=_LASTING,
    ),
    Cause(
        name="fabric_manager",
        kind=Kind.TRANSIENT,
        rank=Rank.STATED,
        explanation="The GPUs are joined by NVLink, and NVIDIA's fabric manager is not ready.",
        advice=(
            "Look at 'systemctl status nvidia-fabricmanager' and 'nvidia-smi -q' (Fabric): it must "
            "run, in the version of the driver."
        ),
        signs={
            r"Error 802\b|system not yet initialized": "CUDA: cudaErrorSystemNotReady",
        },
    ),
    Cause(
        name="driver_mismatch",
        kind=Kind.DRIVER,
        rank=Rank.HOST,
        explanation=(
            "The NVIDIA driver is missing, too old for this vLLM, or was changed while it was "
            "loaded."
        ),
        after_serving="A package upgrade replaces it under a running engine: it needs a reboot.",
        advice="Install a fitting driver; after a driver upgrade, reboot.",
        signs={
            r"driver version is insufficient": "CUDA: cudaErrorInsufficientDriver",
            r"(?i:driver/library version mismatch|nvml error: driver not loaded)": "NVML",
            r"nvidia-container-cli: requirement error|please update your driver": (
                "NVIDIA's container toolkit, of the image's NVIDIA_REQUIRE_CUDA"
            ),
            r"Found no NVIDIA driver|driver on your system is too old": "torch/cuda/__init__.py",
            r"Error 80[34]\b|unsupported display driver": "CUDA: cudaErrorSystemDriverMismatch",
            r"forward compatibility was attempted": "CUDA: cudaErrorCompatNotSupportedOnDevice",
            r"compiled with an unsupported toolchain": "CUDA: cudaErrorUnsupportedPtxVersion",
            r"[Dd]river [Nn]ot [Ll]oaded|CUDA unknown error": "NVML; torch/cuda/__init__.py",
            r"PTX JIT compiler library (?:was )?not found": "CUDA: cudaErrorJitCompilerNotFound",
            r"NRT_UNSUPPORTED_NEFF_VERSION|Unsupported NEFF": (
                "libnrt, of AWS Neuron: its driver is of another version than the compiler"
            ),
            r"not supported in the installed CUDA driver": "CUDA: cudaErrorCallRequiresNewerDriver",
        },
    ),
    Cause(
        name="no_gpu",
        kind=Kind.CONFIGURATION,
        rank=Rank.HOST,
        explanation="vLLM sees no GPU.",
        advice=(
            "Look at 'nvidia-smi' as the engine's user: in a container it needs NVIDIA's runtime "
            "(docker: --gpus all); CUDA_VISIBLE_DEVICES must name a GPU that is there."
        ),
        signs={
            r"Failed to infer device type": "vllm/config/device.py since 0.4",
            r"CUDA driver initialization failed": "torch/csrc: c10/cuda",
            r"torch\.cuda\.is_available\(\) is False": "torch/serialization.py",
            r"TPU initialization failed|initialize backend 'tpu'|get global TPU topology": (
                "libtpu; JAX: xla_bridge.py"
            ),
            r"No CUDA GPUs are available|No HIP GPUs are available": "torch/cuda/__init__.py",
            r"NVML Shared Library Not Found": "pynvml",
            r"no CUDA-capable device is detected|Error 10[01]\b": "CUDA: cudaErrorNoDevice",
            r"Device string must not be empty": "torch, of vllm 0.8 to 0.9 without a platform",
            r"libcuda\.so\.1: cannot open shared object": "the loader, without NVIDIA's runtime",
            r"could not select device driver"
            r"|nvidia-container-cli: (?!init\w* error: nvml|requirement error)": (
                "docker: daemon/devices.go; NVIDIA's container toolkit"
            ),
            r"No supported GPU|\b[Nn]o (?:\w+ )?(?:GPU|device|accelerator)s? "
            r"(?:(?:are|is|were|was) )?(?:found|available|detected)": (
                "vllm/platforms; torch: xpu/__init__.py, ProcessGroupNCCL.cpp"
            ),
            r"^RuntimeError: 0 (?:active drivers|compatible backends)": "triton/runtime/driver.py",
            r"NVMLError_(?:Unknown|InvalidArgument|NoPermission|NotFound)|NVML: Unknown Error": (
                "pynvml, of a GPU that is not given to the container"
            ),
        },
        unless=r"Current node has no GPU|placement group",
        frames=(
            Frame(
                r"vllm/platforms/interface\.py:",
                r"^NotImplementedError$",
                "vllm/platforms/interface.py: no platform was found",
                raised=True,
            ),
        ),
    ),
    Cause(
        name="no_gpu",
        kind=Kind.CONFIGURATION,
        rank=Rank.BROAD,
        explanation="CUDA cannot tell which GPUs there are.",
        advice=(
            "Look at 'nvidia-smi' as the engine's user, and at CUDA_VISIBLE_DEVICES; in a "
            "container it needs NVIDIA's runtime (docker: --gpus all)."
        ),
        starting=True,
        signs={
            r"Unexpected error from (?:cuda|hip)GetDevice": "torch: c10/cuda/CUDAFunctions.cpp",
            r"^(?:\S*\.)?NVMLError_\w+|^(?:\S*\.)?AmdSmi\w*Exception\b": "pynvml; amdsmi",
        },
        frames=(
            Frame(
                r"torch/cuda/__init__\.py:",
                r"OS call failed or operation not supported on this OS",
                "CUDA: cudaErrorOperatingSystem, of a device file that it may not use",
            ),
        ),
    ),
    Cause(
        name="gpu_busy",
        kind=Kind.TRANSIENT,
        rank=Rank.HOST,
        explanation="The GPU takes no new process: another one has it for itself.",
        advice=(
            "'vllmd gpu' names who has it; 'nvidia-smi -q -d COMPUTE' shows its mode, and "
            "'nvidia-smi -c DEFAULT' lets several processes in."
        ),
        names_holders=True,
        signs={_BUSY: "CUDA: cudaErrorDevicesUnavailable, cudaErrorDeviceAlreadyInUse"},
    ),
    Cause(
        name="gpu_unlicensed",
        kind=Kind.CONFIGURATION,
        rank=Rank.HOST,
        explanation="This virtual GPU has no licence from NVIDIA's licence server.",
        after_serving="A licence runs out, or its server goes away, while the engine serves.",
        advice="Look at 'nvidia-smi -q' (License Status) and 'systemctl status nvidia-gridd'.",
        signs={r"doesn't have valid Grid license": "CUDA: cudaErrorDeviceNotLicensed"},
    ),
    Cause(
        name="mps_failed",
        kind=Kind.TRANSIENT,
        rank=Rank.HOST,
        explanation="CUDA's Multi-Process Service (MPS) does not take the engine, or ended it.",
        advice=(
            "Look whether nvidia-cuda-mps-control runs, and at its log (/var/log/nvidia-mps); "
            "CUDA_MPS_PIPE_DIRECTORY in the engine's env must be its own."
        ),
        signs={
            _MPS: "CUDA: cudaErrorMpsConnectionFailed to cudaErrorMpsClientTerminated",
            r"hardware resources required to (?:create MPS|support device)": (
                "CUDA: cudaErrorMpsMaxClientsReached, cudaErrorMpsMaxConnectionsReached"
            ),
        },
    ),
    Cause(
        name="gpu_unsupported",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation="This GPU cannot do what the model or a setting asks for.",
        advice=(
            "Take another dtype, quantization or attention backend, as the evidence says, or "
            "another "
            "GPU."
        ),
        signs={
            r"not supported for the current GPU": "vllm/config/vllm.py since 0.2",
            r"[Bb]float16 is only supported": "vllm/platforms/cuda.py since 0.2",
            r"Please use (?:Blackwell|Hopper|Ada|Ampere) (?:and|or) (?:above|newer)": (
                "vllm/model_executor/layers/quantization/modelopt.py 0.9 to 0.30"
            ),
            r"Minimum capability: \d+": "vllm/config/vllm.py since 0.2",
            r"OutOfResources|out of resource: shared memory": "triton/runtime/errors.py",
            r"(?i:unknown|unsupported) GPU arch": "aiter/jit/utils/chip_info.py",
            r"FlashAttention only supports Ampere": "flash_attn: csrc/flash_attn/flash_api.cpp",
            r"fp8e4nv.* not supported|(?i:fp8) .*requires? (?:an? )?(?:GPU|CUDA|SM\s?\d|compute)": (
                "triton; vllm"
            ),
            r"No valid attention backend (?:found|from)": "vllm/platforms/cuda.py since 0.11",
            r"compute capability .*(?:required|requires|not supported|at least)": "vllm, torch",
            r"[Rr]equires? (?:a )?(?:GPU with )?(?:compute capability|SM\s?\d+"
            r"|CUDA capability)": "vllm",
            r"requires? GPUs? with sm\s?\d+"
            r"|for CUDA device capability: \d+": "flashinfer; vllm: csrc",
            r"ptxas fatal|is not defined for option 'gpu-name'|ptxas'.* exit status 255": (
                "CUDA's ptxas, older than the GPU"
            ),
            r"No operator found for `memory_efficient_attention": "xformers/ops/fmha/dispatch.py",
            r"not supported on (?:this|the current) (?:GPU|device|architecture)": "vllm",
            r"\b(?:[Tt]he|[Tt]his) (?:device|GPU)\b.* (?:doesn't|does not|cannot) support": "torch",
            r"requires? (?:an? )?(?:Blackwell|Hopper|Ada|Ampere)\b": "vllm/model_executor/layers",
            r"No supported CUDA architectures found": "flashinfer/compilation_context.py",
            r"Assertion error \(.*\): [Uu]nsupported arch": "deep_gemm: csrc",
            r"CUDA error: operation not supported|cudaErrorNotSupported": "CUDA",
            r"^RuntimeError: Error (?:Internal|Not Supported|Arch Mismatch|Invalid \w+"
            r"|Misaligned \w+)\b": "vllm: csrc/cutlass_extensions/common.hpp, of cutlass.h",
            r"Failed to run cutlass|cutlass cannot \w+": "flashinfer; vllm: csrc/quantization",
            r"(?i:not supported|unsupported|only supported|requires?)\b.*"
            r"\b(?:gfx\d{3,4}|(?i:sm)_?\d{2,3}[af]?)\b"
            r"|\b(?:gfx\d{3,4}|(?i:sm)_?\d{2,3}[af]?)\b.*(?i:not supported|unsupported)": (
                "vllm, aiter, flashinfer"
            ),
            r"\"\w+\" not implemented for '\w+'": "torch: aten/src/ATen/Dispatch.h",
            r"PassManager::run failed|Mosaic failed to compile": (
                "MLIR, of triton/compiler/compiler.py; of JAX, for TPUs"
            ),
            r"^LLVM ERROR: (?:Unsupported|Cannot select)": "LLVM's NVPTX and AMDGPU, of Triton",
            r"\b(?:un|not )available (?:for \S+ )?on (?:this|the|(?:the )?current) "
            r"(?:platform|GPU|device)": "vllm/model_executor/layers/quantization",
            r"limit is not supported on this architecture": "CUDA: cudaErrorUnsupportedLimit",
            r"too many resources requested for launch": "CUDA: cudaErrorLaunchOutOfResources",
        },
        told=_capability,
    ),
    Cause(
        name="missing_kernels",
        kind=Kind.CONFIGURATION,
        rank=Rank.HOST,
        explanation="This build of vLLM has no code for this GPU, or does not fit its libraries.",
        advice="Install a build of vLLM for this GPU's compute capability.",
        signs={
            r"no kernel image is available for execution": "CUDA: cudaErrorNoKernelImageForDevice",
            r"This flash attention build does not support": "flash_attn: csrc/flash_api.cpp",
            r"No compiled \w[\w ]*(?:kernel|scaled_mm|gemm)": "vllm: csrc/quantization",
            r"HIP error: invalid device function|HIP error: invalid kernel file"
            r"|hipErrorNoBinaryForGpu|Unable to find code object": "ROCm: clr/hipamd",
            r"CUDA error: invalid device function": "CUDA: cudaErrorInvalidDeviceFunction",
            r"rocBLAS error: .*for GPU arch|TensileLibrary": "ROCm: rocBLAS, hipBLASLt",
            _IMAGE: (
                "CUDA: cudaErrorInvalidKernelImage, cudaErrorInvalidPtx, "
                "cudaErrorJitCompilationDisabled, cudaErrorSharedObjectInitFailed, "
                "cudaErrorSymbolNotFound; triton/compiler/compiler.py"
            ),
        },
    ),
    Cause(
        name="cpu_unsupported",
        kind=Kind.CONFIGURATION,
        rank=Rank.END,
        explanation="This CPU has not the instructions (AVX-512, AVX2) that this build was "
        "made for.",
        advice="Look at 'lscpu' for avx512f and avx2, and install a build of vLLM for this CPU.",
        starting=True,
        signs={
            r"Illegal instruction|SIGILL": "the shell, Python's faulthandler",
            r"trap invalid opcode": "the kernel: arch/x86/kernel/traps.c",
            _OTHER_CPU: "the kernel: ENOEXEC, said by the shell or a container's runtime",
            r"Failed core proc\(s\): .*: -4\b": "vllm/v1/engine/utils.py since 0.9",
            r"exit ?code: -4\b": "vllm/v1/executor/multiproc_executor.py since 0.11",
            r"(?:only|does not) supports? .*AVX": "vllm/platforms/cpu.py",
        },
        labels=frozenset({"SIGILL"}),
        told=_processor,
    ),
    Cause(
        name="cuda_graph_failed",
        kind=Kind.CONFIGURATION,
        rank=Rank.BROAD,
        explanation="A CUDA graph could not be recorded at the engine's start.",
        advice="Set enforce_eager = true, which does without, or another attention backend.",
        starting=True,
        signs={_CAPTURE: "CUDA: cudaErrorStreamCaptureUnsupported and its like"},
    ),
    Cause(
        name="cuda_error",
        kind=Kind.TRANSIENT,
        rank=Rank.BROAD,
        explanation=(
            "A call of the GPU's driver or libraries failed (CUDA, ROCm or their like); the "
            "process that made it cannot use the GPU any longer."
        ),
        advice=(
            "If it comes again, look at 'vllmd gpu' for an Xid and run with CUDA_LAUNCH_BLOCKING=1."
        ),
        signs=accelerators.CALL_FAILED,
        unless=r"OS call failed or operation not supported on this OS(?!.*pinn)",
        marks=xids.marks(XidAction.RESTART),
    ),
)
