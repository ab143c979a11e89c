"""The command line's end of the control socket; the standard library only, for a fast start."""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from vllmd.control.unix_http import TIMEOUT_S, UnixConnection
from vllmd.errors import (
    ConfigError,
    DaemonUnreachableError,
    HeldError,
    NotPermittedError,
    UnknownEngineError,
    VllmdError,
)

OK = 200
NOT_FOUND = 404
SHOWN_BYTES = 200
PROBE_S = 600.0
"""A busy engine takes its time to answer some prompts."""
_ERRORS: dict[int, type[VllmdError]] = {
    403: NotPermittedError,
    404: UnknownEngineError,
    409: HeldError,
    422: ConfigError,
}


class ControlClient:
    """Asks the daemon; every error is one that can be shown as it is."""

    def __init__(self, path: Path, *, keep: bool = False, timeout_s: float = TIMEOUT_S) -> None:
        """Ask on this socket; with `keep` by one connection, for who asks each second."""
        self._path, self._timeout_s = path, timeout_s
        self._keep = keep
        self._kept: deque[UnixConnection] = deque()

    @property
    def path(self) -> Path:
        """The socket that is asked."""
        return self._path

    def status(self, *, series: bool = False) -> dict[str, Any]:
        """Return `{"daemon": …, "engines": […]}`, with ten minutes of figures if they are wanted.

        An older daemon leaves them out. Raises: DaemonUnreachableError: nobody answers.
        """
        return self._ask("GET", f"/v1/status{'?series' if series else ''}")

    def engine(self, name: str) -> dict[str, Any]:
        """Return the status of one engine.

        Raises: UnknownEngineError: there is none of that name; DaemonUnreachableError.
        """
        engines = self.status()["engines"]
        for engine in engines:
            if engine["name"] == name:
                return dict(engine)
        raise UnknownEngineError.among(name, [engine["name"] for engine in engines])

    def act(self, name: str, action: str, **options: str) -> dict[str, Any]:
        """Ask for `start`, `stop`, `restart`, `sleep` or `wake` of an engine.

        Returns: `{"engine": status, "warning": text or None}`, at once.
        Raises: NotPermittedError, UnknownEngineError, DaemonUnreachableError.
        """
        query = f"?{urlencode(options)}" if options else ""
        return self._ask("POST", f"/v1/engines/{name}/{action}{query}")

    def rotate(self, name: str) -> None:
        """Begin a new file of an engine's log.

        Raises: NotPermittedError, UnknownEngineError, DaemonUnreachableError; VllmdError: the disk
            refuses, or its shim does not answer.
        """
        self._ask("POST", f"/v1/logs/{name}/rotate")

    def gpus(self) -> dict[str, Any]:
        """Return what is known of the GPUs, with their processes of now.

        Raises: DaemonUnreachableError: nobody answers.
        """
        return self._ask("GET", "/v1/gpu")

    def traces(self) -> dict[str, Any]:
        """Return the slowest requests of the window under way and of the last one.

        Raises: DaemonUnreachableError: nobody answers.
        """
        return self._ask("GET", "/v1/traces")

    def adapters(self) -> list[dict[str, Any]]:
        """Return the adapters of each engine that has any, and how they stand.

        Raises: DaemonUnreachableError: nobody answers.
        """
        return list(self._ask("GET", "/v1/lora")["engines"])

    def change_adapter(self, engine: str, action: str, name: str, path: str = "") -> dict[str, Any]:
        """Ask for `add`, `remove` or `reload` of an adapter.

        Returns: the engine's adapters, at once. Raises: NotPermittedError, UnknownEngineError,
            DaemonUnreachableError; VllmdError: why not, and nothing changed.
        """
        body = {"name": name, "path": path}
        return self._ask("POST", f"/v1/lora/{engine}/{action}", body)

    def cost(self, since: float, until: float, compare: Sequence[str] = ()) -> dict[str, Any]:
        """Return what each engine cost, and what the APIs that `compare` names would have.

        Raises: DaemonUnreachableError; VllmdError: an API's price is not known.
        """
        query = {"since": repr(since), "until": repr(until), "compare": ",".join(compare)}
        return self._ask("GET", f"/v1/cost?{urlencode(query)}")

    def advise(self, since: float, until: float, first_token_s: float) -> dict[str, Any]:
        """Return what each engine has shown in that time, and which changes follow from it.

        Raises: DaemonUnreachableError: nobody answers.
        """
        query = {"since": repr(since), "until": repr(until), "first_token_s": repr(first_token_s)}
        return self._ask("GET", f"/v1/advise?{urlencode(query)}")

    def probe(self, engine: str, *, record: bool = False) -> dict[str, Any]:
        """Have an engine's answers looked at now; with `record`, have them taken for right.

        Returns: what is known then. Raises: NotPermittedError, UnknownEngineError,
            DaemonUnreachableError; HeldError: it cannot be asked now; VllmdError: it has no table.
        """
        patient = ControlClient(self._path, timeout_s=PROBE_S)
        return patient._ask("POST", f"/v1/probe/{engine}{'?record' if record else ''}")

    def reap(self) -> list[str]:
        """Have the orphans killed that hold GPU memory; returns who they were.

        Raises: NotPermittedError, DaemonUnreachableError.
        """
        return list(self._ask("POST", "/v1/gpu/reap")["killed"])

    def release(self, seconds: float) -> None:
        """Have the GPUs let go of for so long; 0 ends that.

        Raises: NotPermittedError, DaemonUnreachableError; VllmdError: for longer than is allowed.
        """
        self._ask("POST", f"/v1/gpu/release?seconds={seconds:g}")

    def events(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return events of the history as JSON has them, the oldest first.

        `wanted` is what an `EventFilter` has. Raises: DaemonUnreachableError; VllmdError: it cannot
        be read.
        """
        query = urlencode(wanted)
        return list(self._ask("GET", f"/v1/events?{query}")["events"])

    def why(self) -> list[dict[str, Any]] | None:
        """Return the story of each engine to which something happened, as `vllmd why` tells it.

        Returns: None: an older daemon, which does not tell it. Raises: DaemonUnreachableError;
            VllmdError: the history cannot be read.
        """
        status, text = self._answer("GET", "/v1/why", None)
        return None if status == NOT_FOUND else list(self._read(status, text)["stories"])

    def reload(self, *, apply: bool) -> dict[str, Any]:
        """Ask the daemon to read its configuration again.

        Returns: what that changes, as `reload.Plan`.
        Raises: ConfigError: it cannot be used; NotPermittedError, DaemonUnreachableError.
        """
        return self._ask("POST", f"/v1/reload{'?apply' if apply else ''}")

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        given = None if body is None else json.dumps(body).encode()
        return self._read(*self._answer(method, path, given))

    def _read(self, status: int, text: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(text)
            if not isinstance(answer, dict):
                raise ValueError("it is no object")
        except (ValueError, RecursionError):
            said = text[:SHOWN_BYTES].decode(errors="replace").strip() or "nothing"
            raise VllmdError(
                f"the daemon on {self._path} answered {status} and {said!r}: its log says "
                "why ('journalctl -u vllmd-daemon')"
            ) from None
        if status != OK:
            kind = _ERRORS.get(status, VllmdError)
            raise kind(answer.get("error", f"the daemon answered {status}"))
        return answer

    def _answer(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Return the status and the text of an answer; one that was kept may be gone meanwhile."""
        try:
            connection = self._kept.pop()  # one thread gets it, whoever asks at the same time
        except IndexError:
            connection = UnixConnection(str(self._path), self._timeout_s)
        again = connection.is_open and method == "GET"
        try:
            status, text = connection.ask(method, path, body)
        except PermissionError:
            connection.close()
            raise NotPermittedError(
                f"no right to use {self._path}: be root, or join the group vllmd"
            ) from None
        except OSError as error:
            connection.close()
            if again:
                return self._answer(method, path, body)
            raise DaemonUnreachableError(
                f"no vllmd answers on {self._path} ({error}): start it with "
                "'systemctl start vllmd' or 'vllmd run', or give --socket PATH"
            ) from None
        if self._keep and connection.is_open:
            self._kept.append(connection)
        else:
            connection.close()
        return status, text
