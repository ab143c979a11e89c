"""The paths among arguments and variables, as the host has them. Pure."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from vllmd.importing.launch import Container, Launch, Mount
from vllmd.importing.leftovers import texts_in
from vllmd.importing.surroundings import Notes, Surroundings, join
from vllmd.importing.unknown import as_written, is_unknown

FILES = frozenset(
    {"chat-template", "ssl-keyfile", "ssl-certfile", "ssl-ca-certs", "download-dir", "config"}
    | {"log-config-file", "tool-parser-plugin", "reasoning-parser-plugin", "profiler-dir"}
    | {"allowed-local-media-path", "lora-modules"}
)
"""Flags whose relative value is a path."""
MODELS = frozenset(
    {"model", "tokenizer", "hf-config-path", "speculative-model", "generation-config"}
)
"""Flags whose value is a path, or a name on the hub."""
_OF_CODE = re.compile(
    r"/(site|dist)-packages(/|$)|^/vllm-workspace(/|$)|^/usr/|^/opt/(venv|conda)|\.py$"
)
"""Where an image has its programs, so that a mount changes them."""
_IMAGE_FOLDER = "/vllm-workspace"
"""Source: WORKDIR of vLLM's Dockerfile."""


@attrs.frozen
class HostPaths:
    """Turns the paths of one launch into those of the host."""

    launch: Launch
    around: Surroundings
    notes: Notes

    def flag(self, name: str, text: str) -> str:
        """Return a flag's value with the path that it is, if it is one."""
        if name in MODELS and not self._is_path(text):
            return text
        if name not in MODELS and name not in FILES:
            return self.anywhere(text)
        if name == "chat-template" and re.search(r"\{[{%]|\n", text):
            return text  # the template itself
        return self.path(f"--{name}", text)

    def path(self, what: str, text: str) -> str:
        """Return a path as the host has it; what cannot be one is refused."""
        if is_unknown(text) or "://" in text or not text:
            return text
        whole = text
        if not text.startswith("/"):
            folder = self._folder()
            if folder is None:
                self.notes.refuse(
                    self.launch.place,
                    f"{what} {text} is relative, and where it was run is not known here: give "
                    "--directory DIR, or the whole path",
                )
                return text
            whole = join(folder, text)
        if self.launch.container is None:
            return whole
        return self._outside(what, whole, self.launch.container)

    def variable(self, name: str, value: str) -> str | None:
        """Return a variable's value; None if it is a path within the container and nowhere else."""
        container = self.launch.container
        if container is None or not value.startswith("/"):
            return value
        mount = _mount_of(value, container)
        if mount is None or mount.outside is None:
            return None
        return _moved(value, mount)

    def anywhere(self, text: str) -> str:
        """Return a value, whose JSON may have paths."""
        container = self.launch.container
        if container is None or "/" not in text:
            return text

        def moved(found: re.Match[str]) -> str:
            mount = _mount_of(found[1], container)
            return f'"{_moved(found[1], mount)}"' if mount and mount.outside else found[0]

        if text.startswith("/"):
            mount = _mount_of(text, container)
            return _moved(text, mount) if mount and mount.outside else text
        return re.sub(r'"(/[^"]*)"', moved, text)

    def nested(self, value: Any) -> Any:
        """Return a table of JSON whose `model` may be a path."""
        if isinstance(value, dict):
            made = {key: self.nested(each) for key, each in value.items()}
            model = made.get("model")
            if isinstance(model, str) and self._is_path(model) and not model.startswith("/"):
                made["model"] = self.path("the model of it", model)
            return made
        return value

    def is_path(self, text: str) -> bool:
        """Tell whether a model is a folder, and not a name on the hub."""
        return self._is_path(text)

    def _is_path(self, text: str) -> bool:
        if is_unknown(text) or "://" in text:
            return text.startswith("/")
        if re.match(r"/|\.{1,2}(/|$)|~", text) or text.count("/") > 1:
            return True
        folder = self._folder()
        if folder is None or self.launch.container is not None:
            return False
        return self.around.files.is_folder(join(folder, text))

    def unused_mounts(self, made: Iterable[Any]) -> Iterator[str]:
        """Yield what was mounted from the host and nothing of `made` names."""
        mounts = self.launch.container.mounts if self.launch.container else ()
        texts = tuple(texts_in(list(made)))
        others = []
        for mount in mounts:
            outside = (mount.outside or "").rstrip("/")
            if not outside or any(f"{outside}/" in f"{text}/" for text in texts):
                continue
            if _OF_CODE.search(mount.inside):
                yield (
                    f"left out: {as_written(outside)} was mounted over {mount.inside}: what it "
                    "changes of the image's programs is not so here: put it into the environment "
                    "that 'vllmd engine adopt FOLDER' takes"
                )
            else:
                others.append(f"{mount.inside} ({as_written(outside)})")
        if others:
            yield f"of the container only: mounted, and named by nothing: {', '.join(others)}"

    @property
    def not_here(self) -> str:
        """The working directory, if it is known and not on this host."""
        folder = self._folder()
        inside = self.launch.container is not None or not folder or is_unknown(folder)
        return "" if inside or self.around.files.is_folder(folder or "") else str(folder)

    def _folder(self) -> str | None:
        if self.launch.container is not None:
            return self.launch.folder or _IMAGE_FOLDER
        return self.launch.folder or self.around.folder

    def _outside(self, what: str, path: str, container: Container) -> str:
        mount = _mount_of(path, container)
        if mount is None:
            self.notes.refuse(
                self.launch.place,
                f"{what} {path} is of the image {container.image}, and on no folder of the host: "
                f"copy it out ('docker cp CONTAINER:{path} .'), and give its path",
            )
            return path
        if mount.outside is None:
            self.notes.refuse(
                self.launch.place,
                f"{what} {path} is in {mount.what}, and where that is on the host is not known "
                "here: write its path in place of it",
            )
            return path
        return _moved(path, mount)


def _mount_of(path: str, container: Container) -> Mount | None:
    """Return the mount that a path is in: the innermost."""
    whole = posixpath.normpath(path)
    fitting = [
        mount
        for mount in container.mounts
        if whole == mount.inside or whole.startswith(f"{mount.inside.rstrip('/')}/")
    ]
    return max(fitting, key=lambda mount: len(mount.inside), default=None)


def _moved(path: str, mount: Mount) -> str:
    rest = posixpath.normpath(path)[len(mount.inside.rstrip("/")) :]
    assert mount.outside is not None
    return f"{mount.outside.rstrip('/')}{rest}" or "/"


def cache_of(container: Container) -> tuple[str, Mount] | None:
    """Return the variable that leads to the hub's cache on the host, and the mount that it is in.

    Source: huggingface_hub/constants.py: ``~/.cache/huggingface/hub``.
    """
    home = f"{container.home.rstrip('/')}/.cache/huggingface"
    for inside, name in ((home, "HF_HOME"), (f"{home}/hub", "HF_HUB_CACHE")):
        mount = _mount_of(inside, container)
        if mount is not None:
            outside = None if mount.outside is None else _moved(inside, mount)
            return name, Mount(inside, outside, mount.what)
    return None
