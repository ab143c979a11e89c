"""What the hub says of a model: its commit, and the files of it with their sizes and hashes."""

import contextlib
import json
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import attrs
import httpx

from vllmd.errors import VllmdError
from vllmd.util.units import MIB, format_bytes

PUBLIC = "https://huggingface.co"
GATED = "GatedRepo"
TIMEOUT_S = 30.0
MOST_BYTES = 64 * MIB
"""Of what the hub says of a model: a hundred thousand files are 30 MB."""
_NO_REVISION = re.compile(r"^[/.-]|[/.]$|\.\.|//|/\.|\.lock$|[\x00-\x20\x7f~^:?*\[\\]|^$")
"""What no branch, tag or commit is called. Source: git-check-ref-format(1)."""


class PullError(VllmdError):
    """A model cannot be had; it says why, and what to do."""


@attrs.frozen
class RemoteFile:
    """A file of a model. `sha256` is known of large ones (LFS), `blob` is git's hash of others."""

    path: str
    size: int
    blob: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        """What its blob is called in the cache: the hash, as the hub's own client has it."""
        return self.sha256 or self.blob


@attrs.frozen
class Repository:
    """A model at one commit."""

    model: str
    commit: str
    files: tuple[RemoteFile, ...]


class Hub:
    """A hub, and who asks it."""

    def __init__(self, client: httpx.Client, env: Mapping[str, str], token: str | None) -> None:
        self.client = client
        self.endpoint = (env.get("HF_ENDPOINT") or PUBLIC).rstrip("/")
        self._token = token
        self._streams: set[socket.socket] = set()

    @contextlib.contextmanager
    def stream(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Ask for a file; `cut` ends the answer from another thread."""
        with self.client.stream("GET", url, headers=headers, follow_redirects=True) as answer:
            connection = answer.extensions["network_stream"].get_extra_info("socket")
            self._streams.add(connection)
            try:
                yield answer
            finally:
                self._streams.discard(connection)

    def cut(self) -> None:
        """End all answers that are under way: who waits for one hears that it broke."""
        for connection in list(self._streams):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def headers(self) -> Mapping[str, str]:
        """What goes with each request; httpx leaves it out where it is sent to another host."""
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def url(self, repository: Repository, file: RemoteFile) -> str:
        """Return where a file is."""
        path = quote(f"{repository.model}/resolve/{repository.commit}/{file.path}")
        return f"{self.endpoint}/{path}"

    def look_up(self, model: str, revision: str) -> Repository:
        """Ask for the files of a model.

        Raises: PullError: there is none, it is not given out, or nobody answers.
        """
        if _NO_REVISION.search(revision):
            raise PullError(f"{revision!r} is no name of a branch, a tag or a commit; correct it")
        url = f"{self.endpoint}/api/models/{quote(model)}/revision/{quote(revision, safe='')}"
        try:
            answer, content = self._get(url)
        except httpx.InvalidURL as error:
            raise PullError(f"HF_ENDPOINT {self.endpoint!r} is no address: {error}") from None
        except httpx.HTTPError as error:
            raise PullError(self.unreachable(error)) from None
        self.refuse(answer, model, revision)
        try:
            return _repository(model, json.loads(content))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise PullError(
                f"{self.endpoint} does not answer as a hub does ({error!r}); is HF_ENDPOINT right?"
            ) from None

    def _get(self, url: str) -> tuple[httpx.Response, bytearray]:
        """Return an answer and its content. Raises: httpx.HTTPError, PullError: it has no end."""
        content = bytearray()
        params = {"blobs": "true"}
        with self.client.stream(
            "GET", url, params=params, headers=self.headers, follow_redirects=True
        ) as answer:
            for block in answer.iter_bytes():
                content += block
                if len(content) > MOST_BYTES:
                    raise PullError(
                        f"{self.endpoint} says more than {format_bytes(MOST_BYTES)} of one model; "
                        "is HF_ENDPOINT right?"
                    )
        return answer, content

    def unreachable(self, error: Exception) -> str:
        """Say that nobody answers, and what may be the matter."""
        return (
            f"{self.endpoint} cannot be reached: {error}; look at the network and at HTTPS_PROXY, "
            "or set HF_ENDPOINT to a mirror"
        )

    def refuse(self, answer: httpx.Response, model: str, revision: str) -> None:
        """Say what an answer means that is none. Raises: PullError: it is one of these."""
        code = answer.status_code
        if code < 400:
            return
        page = f"{self.endpoint}/{model}"
        token = "write a token to /etc/vllmd/credentials/hf_token, or set HF_TOKEN"
        if answer.headers.get("x-error-code") == GATED or code == httpx.codes.FORBIDDEN:
            raise PullError(
                f"{model} is gated: its terms have to be accepted at {page}, by the owner of the "
                f"token; {'the token that was given is not allowed to' if self._token else token}"
            )
        if code == httpx.codes.UNAUTHORIZED:
            why = "the token that was given is not taken" if self._token else "no token was given"
            raise PullError(
                f"the hub does not give {model} out ({why}): it is private or gated, or there is "
                f"none of that name; look at {page}, and {token}"
            )
        if code == httpx.codes.NOT_FOUND:
            missing = answer.headers.get("x-error-code") == "RevisionNotFound"
            what = f"{model} has no revision {revision!r}" if missing else f"there is no {model}"
            raise PullError(f"{what} on {self.endpoint}; correct the name")
        raise PullError(f"{self.endpoint} answers {code} for {model}; try again later")


def _repository(model: str, said: Mapping[str, Any]) -> Repository:
    """Read what the hub answers. Source: its API, ``/api/models/ID/revision/REV?blobs=true``."""
    siblings: Sequence[Mapping[str, Any]] = said["siblings"]
    return Repository(str(said["id"]), _hash(said["sha"]), tuple(map(_file, siblings)))


def _file(entry: Mapping[str, Any]) -> RemoteFile:
    path = str(entry["rfilename"])
    inside = PurePosixPath(path)
    odd = "\\" in path or not path.isprintable() or str(inside) != path or not inside.parts
    if inside.is_absolute() or ".." in inside.parts or odd:
        raise ValueError(f"a file is called {path!r}")
    size = entry["size"]
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"the size of {path!r} is {size!r}")
    lfs = entry.get("lfs") or {}
    sha256 = _hash(lfs["sha256"]) if lfs else None
    return RemoteFile(path, size, _hash(entry["blobId"]), sha256)


def _hash(text: Any) -> str:
    """Accept a hash in hexadecimal: it becomes the name of a file."""
    if not isinstance(text, str) or not text.isalnum() or not text.isascii():
        raise ValueError(f"{text!r} is no hash")
    return text
