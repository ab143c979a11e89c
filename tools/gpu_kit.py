"""Pack a CUDA vLLM, and what vllmd and its GPU tests need, for a host without package registries.

    python -m pip list --format=freeze > freeze.txt     # on the host: what it has already
    python tools/gpu_kit.py freeze.txt                  # here: build/gpu-kit/
    cat part.* | tar -xz -C FOLDER                      # there
    export PATH=FOLDER/bin:$PATH PYTHONPATH=$PWD:FOLDER/vllmd VLLMD_GPU_ENGINE=FOLDER/bin/vllm
    python3 -m pytest tests/gpu                         # in a copy of this tree

The host has to have NVIDIA's libraries for CUDA 13, and a torch: by default the newest vLLM is
taken that pins this one. With --torch the torch that a newer vLLM pins is packed too, 400 MiB more,
and used with these libraries. What vLLM can do without is left out, as parts have to be carried:
FlashAttention 2 (Hopper has 3), DeepGEMM, flashinfer and other kernels for single models.
"""

import argparse
import re
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
PART_BYTES = "44M"
PLATFORM = "x86_64-manylinux_2_39"

KERNELS = (
    "flashinfer*", "nvidia-*", "tilelang", "torchcodec", "torchaudio", "torchvision", "quack*",
    "humming*", "tokenspeed*", "pynvvideocodec", "nvtx", "fastsafetensors", "instanttensor",
)  # fmt: skip
"""Requirements of vLLM that serve kernels which are left out, or files of other kinds."""
TORCH = ("torch", "triton", "torchvision", "nvidia-nccl-cu13")
"""What has to fit each other: transformers imports a torchvision that it finds, and a torch wants
functions of its own NCCL. NVIDIA's other libraries may be those of an earlier 13.0."""
LEFT_OUT = (
    "vllm/vllm_flash_attn/_vllm_fa2_C*", "vllm/vllm-rs*", "vllm/third_party/deep_gemm/*",
    "vllm/third_party/fmha_sm100/*",
)  # fmt: skip
UNUSED = (
    "pycountry/locales/*", "mistral_common/data/*.json", "torch/include", "torch/bin/protoc*",
    "torch/test", "torch/share", "triton/_C/libtriton/include", "triton/_C/libproton.so",
    "triton/backends/nvidia/bin/ptxas-blackwell", "triton/backends/nvidia/lib/cupti",
    "triton/instrumentation",
)  # fmt: skip
TEST_TOOLS = ("pytest", "pytest-asyncio", "openai", "httpx", "hypothesis")

PROGRAM = """#!/usr/bin/env python3
import os
import sys

here = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vllm")
sys.path.insert(0, here)
paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
os.environ["PYTHONPATH"] = os.pathsep.join(paths)
os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")
os.environ.setdefault("PYTORCH_SKIP_CUDNN_COMPATIBILITY_CHECK", "1")
if __name__ == "__main__":  # vLLM's workers are spawned from it
    from vllm.entrypoints.cli.main import main

    sys.exit(main())
"""

VLLMD = """#!/usr/bin/env python3
from vllmd.cli.main import main

main()
"""


def name_of(requirement: str) -> str:
    """Return the normal form of a requirement's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;@]", requirement, maxsplit=1)[0]).lower()


def pins(text: str) -> dict[str, str]:
    """Return versions by name from lines such as `name==1.0+local`."""
    found = re.findall(r"^([\w.-]+)==([\w.!-]+)", text, re.MULTILINE)
    return {name_of(name): version for name, version in found}


def requirements(wheel: Path, has: dict[str, str]) -> list[str]:
    """Return what a vLLM needs, but for what is left out."""
    left_out = [each for each in KERNELS if each not in TORCH or each in has]
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        lines = archive.read(path).decode().splitlines()
    all_of = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist: ")]
    wanted = [each for each in all_of if "extra ==" not in each]
    return [each for each in wanted if not any(fnmatch(name_of(each), k) for k in left_out)]


def uv(*arguments: str) -> None:
    """Run uv; it says itself what is wrong."""
    subprocess.run([str(UV), *arguments], check=True)


def main() -> None:
    """Make the kit, in parts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("freeze", type=Path, help="`pip list --format=freeze` of the host")
    parser.add_argument("--python", default="3.12", help="the host's Python")
    parser.add_argument("--vllm", default="0.25.1", help="the newest that pins torch 2.11")
    parser.add_argument("--torch", action="store_true", help="pack the torch that this vLLM pins")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "gpu-kit")
    args = parser.parse_args()
    has = pins(args.freeze.read_text())
    if "torch" not in has:
        sys.exit(f"{args.freeze}: no torch in it; the host needs one with CUDA")
    if args.torch:
        has = {name: version for name, version in has.items() if name not in TORCH}
    work = args.output.absolute()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    tags = ["--only-binary", ":all:", "--python-version", args.python]
    tags += ["--platform", "manylinux_2_28_x86_64", "-d", str(work), f"vllm=={args.vllm}"]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *tags]
    subprocess.run(command, check=True)
    (wheel,) = work.glob("vllm-*.whl")
    site = work / "kit" / "vllm"
    _install(work, site, requirements(wheel, has), has, args.python)
    with zipfile.ZipFile(wheel) as archive:
        kept = [n for n in archive.namelist() if not any(fnmatch(n, k) for k in LEFT_OUT)]
        archive.extractall(site, kept)
    for pattern in UNUSED:
        for path in site.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    tools = work / "tools"
    tools.write_text("\n".join(TEST_TOOLS))
    locked = ROOT / "requirements" / "runtime.txt"
    target = ["--python-version", args.python, "--target", str(work / "kit" / "vllmd")]
    uv("pip", "install", "-q", *target, "-r", str(tools), "-c", str(locked))
    uv("pip", "install", "-q", *target, "--no-deps", "-r", str(locked))
    programs = work / "kit" / "bin"
    programs.mkdir()
    for name, text in (("vllm", PROGRAM), ("vllmd", VLLMD)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    shutil.copy(site / "bin" / "py-spy", programs)
    print("packing: some minutes …", flush=True)
    pack = f"tar -C {work}/kit -c . | gzip -4 | split -b {PART_BYTES} - {work}/part."
    subprocess.run(["bash", "-o", "pipefail", "-c", pack], check=True)
    shutil.rmtree(work / "kit")
    wheel.unlink()
    tools.unlink()
    for part in sorted(work.glob("part.*")):
        print(f"{part} {part.stat().st_size >> 20} MiB")


def _install(work: Path, site: Path, wanted: list[str], has: dict[str, str], python: str) -> None:
    """Install what the host lacks; what it has in another version is used as it is."""
    (work / "in").write_text("\n".join([*wanted, "py-spy"]))
    kept = ("torch", "triton", "transformers", "huggingface-hub", "tokenizers", "safetensors")
    lines = [f"{name}=={has[name]}" for name in kept if name in has]
    (work / "constraints").write_text("\n".join(lines))
    where = ["--python-version", python, "--python-platform", PLATFORM]
    files = ["-c", str(work / "constraints"), str(work / "in"), "-o", str(work / "lock")]
    uv("pip", "compile", "-q", *where, *files)
    locked = pins((work / "lock").read_text())
    lacking = [
        f"{name}=={version}"
        for name, version in locked.items()
        if name not in has and (name in TORCH or "nvidia" not in name)
    ]
    (work / "lacking").write_text("\n".join(lacking))
    target = ["--target", str(site), "-r", str(work / "lacking")]
    uv("pip", "install", "-q", "--no-deps", *where, *target)
    for name in ("in", "constraints", "lock", "lacking"):
        (work / name).unlink()


if __name__ == "__main__":
    main()
