"""Small wheels of a `vllm` that has the real one's shape: its command, its parser, and no more."""

import base64
import hashlib
import zipfile
from pathlib import Path

MAIN = """
import argparse
import os
import sys


def main():
    parser = argparse.ArgumentParser(prog="vllm")
    serve = parser.add_subparsers(dest="command").add_parser("serve")
    serve.add_argument("model", nargs="?", help="the model")
    for name in {texts!r}:
        serve.add_argument("--" + name, help="a text")
    for name in {numbers!r}:
        serve.add_argument("--" + name, type=int, help="a number")
    serve.add_argument("--gpu-memory-utilization", type=float, default=0.92)
    serve.add_argument("--dtype", choices=["auto", "float16"], default="auto", help="of weights")
    serve.add_argument("--served-model-name", nargs="+")
    serve.add_argument("--enable-prefix-caching", action=argparse.BooleanOptionalAction)
    serve.add_argument("--quick", action=argparse.BooleanOptionalAction, help="be quick")
    serve.add_argument("--old", help="--old is deprecated and will be removed")
    parser.parse_args()
    python = os.environ.get("STAND_IN_PYTHON", "/usr/bin/python3")
    os.environ.setdefault("PYTHONPATH", "/usr/lib/vllmd/site")
    code = "import runpy, sys; sys.argv.pop(1); runpy.run_module('vllmd.demo', None, '__main__')"
    os.execv(python, [python, "-c", code, *sys.argv])  # the stand-in, seen to come from here
"""
TEXTS = ("host", "quantization", "otlp-traces-endpoint")
NUMBERS = ("port", "max-model-len", "max-num-seqs", "shutdown-timeout")
ENTRY = "[console_scripts]\nvllm = vllm.entrypoints.cli.main:main\n"


def wheel(
    folder: Path,
    version: str,
    *,
    texts: tuple[str, ...] = TEXTS,
    numbers: tuple[str, ...] = NUMBERS,
    first: str = "",
) -> Path:
    """Write a wheel of `vllm`, whose program does something `first`, and return its path."""
    info = f"vllm-{version}.dist-info"
    files = {
        "vllm/__init__.py": "",
        "vllm/entrypoints/__init__.py": "",
        "vllm/entrypoints/cli/__init__.py": "",
        "vllm/entrypoints/cli/main.py": first + MAIN.format(texts=texts, numbers=numbers),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": ENTRY,
    }
    lines = [f"{name},sha256={_digest(text)},{len(text)}" for name, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"vllm-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def fake_engine(folder: Path, version: str = "1.0") -> Path:
    """Make what looks like a complete environment with a `vllm`; return its program."""
    for name in ("vllm", "python"):
        path = folder / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho {version}\n")
        path.chmod(0o755)
    return folder / "bin" / "vllm"
