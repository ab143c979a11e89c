"""The stand-in's adapters: loaded, refused and forgotten as vLLM does it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vllmd.demo.args import Args

RUNTIME_UPDATING = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"


class LoadError(Exception):
    """An adapter is not loaded; `code` is the answer's."""

    def __init__(self, message: str, kind: str, code: int) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code


class LoadedAdapters:
    """The adapters that are loaded: their names, and the paths that they came from.

    Source: `OpenAIServingModels`, `WorkerLoRAManager` and `PEFTHelper` in vLLM 0.32.
    """

    def __init__(self, args: Args) -> None:
        """Load those of the command line.

        Raises: LoadError: one cannot be; vLLM then ends.
        """
        self._args = args
        self.paths: dict[str, str] = {}
        for name, path in args.lora_modules.items():
            self._load(name, path, in_place=False)

    def routes(self) -> list[Route]:
        """Return the endpoints, which vLLM has only if it is told so."""
        if os.environ.get(RUNTIME_UPDATING, "0").strip().lower() not in ("1", "true"):
            return []
        return [
            Route("/v1/load_lora_adapter", self.load, methods=["POST"]),
            Route("/v1/unload_lora_adapter", self.unload, methods=["POST"]),
        ]

    async def load(self, request: Request) -> Response:
        """Add an adapter, or replace it."""
        body = await request.json()
        name, path = body["lora_name"], body["lora_path"]
        try:
            self._load(name, path, in_place=body.get("load_inplace", False))
        except LoadError as error:
            return _refused(error)
        return Response(f"Success: LoRA adapter '{name}' added successfully.")

    async def unload(self, request: Request) -> Response:
        """Remove an adapter."""
        name = (await request.json())["lora_name"]
        if self.paths.pop(name, None) is None:
            message = f"The lora adapter '{name}' cannot be found."
            return _refused(LoadError(message, "NotFoundError", 404))
        return Response(f"Success: LoRA adapter '{name}' removed successfully.")

    def _load(self, name: str, path: str, *, in_place: bool) -> None:
        if name in self._args.served_names:
            message = f"The lora adapter '{name}' conflicts with a served base model."
            raise LoadError(message, "InvalidUserInput", 400)
        if name in self.paths and not in_place:
            message = (
                f"The lora adapter '{name}' has already been loaded. If you want to load the "
                "adapter in place, set 'load_inplace' to True."
            )
            raise LoadError(message, "InvalidUserInput", 400)
        config = _read_config(name, path)
        if (rank := config["r"]) > (most := self._args.max_lora_rank):
            message = f"LoRA rank {rank} is greater than max_lora_rank {most}."
            raise LoadError(message, "InternalServerError", 500)
        self.paths[name] = path


def _read_config(name: str, path: str) -> Mapping[str, Any]:
    folder = Path(path)
    try:
        if not (folder / "adapter_model.safetensors").exists():
            raise FileNotFoundError
        config: dict[str, Any] = json.loads((folder / "adapter_config.json").read_bytes())
    except FileNotFoundError:
        message = f"Loading lora {name} failed: No adapter found for {path}"
        raise LoadError(message, "NotFoundError", 404) from None
    except ValueError as error:
        raise LoadError(str(error), "InternalServerError", 500) from None
    if missing := {"r", "lora_alpha", "target_modules"} - config.keys():
        message = f"Missing required configuration fields: {missing}"
        raise LoadError(message, "InternalServerError", 500)
    return config


def _refused(error: LoadError) -> Response:
    body = {"message": str(error), "type": error.kind, "param": None, "code": error.code}
    return JSONResponse({"error": body}, status_code=error.code)
