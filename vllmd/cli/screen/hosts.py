"""The daemons that a screen looks at: this host's, by its socket, or others', by their pages.

What was seen last is kept: a daemon that goes away leaves its last picture, and how old that is.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from vllmd.cli import engine_table, status_view
from vllmd.control.client import ControlClient
from vllmd.errors import DaemonUnreachableError, VllmdError
from vllmd.util.units import MIB, format_bytes

if TYPE_CHECKING:
    import httpx

SERIES_S = 5.0
"""How often the series are asked for: they have a point in so long."""
MOST_BYTES = 16 * MIB
"""A status document is never longer: whoever sends more is none of ours."""
LONGEST_S = 10.0
"""After so long a document that comes bit by bit is not waited for any more."""
NOT_OURS = "answers, but not as vllmd does: is that the address of its page?"
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError)
Document = Mapping[str, Any]


class StatusSource(Protocol):
    """Who is asked for the status document."""

    label: str

    def status(self, *, series: bool) -> Document:
        """Return the document. Raises: VllmdError: why there is none."""
        ...


class LocalSource:
    """The daemon behind a control socket."""

    label = "this host"

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def status(self, *, series: bool) -> Document:
        """Return the document. Raises: VllmdError."""
        return self._client.status(series=series)


class RemoteSource:
    """The daemon of another host, by the address of its page.

    A password is taken from the address, or from ~/.netrc, where nobody else sees it.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float = 5.0,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take an address such as ``http://gpu-2:9840``. Raises: VllmdError: it is none."""
        import httpx

        self._errors = (httpx.HTTPError, httpx.InvalidURL)
        try:
            parsed = httpx.URL(url if "://" in url else f"http://{url}")
        except httpx.InvalidURL as error:
            raise VllmdError(f"{url!r} is no address: {error}") from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise VllmdError(f"{url!r} is no address: give such as http://gpu-2:9840")
        self.label = f"{parsed.host}:{parsed.port}" if parsed.port else parsed.host
        try:
            auth = None if parsed.userinfo else httpx.NetRCAuth()
        except (OSError, ValueError, SyntaxError):  # there is no such file, or none of use
            auth = None
        self._client = httpx.Client(timeout=timeout_s, auth=auth)
        self._url = parsed.copy_with(path="/status.json", query=None, fragment=None)
        self._monotonic = monotonic
        self._kept: dict[bool, tuple[str, Document]] = {}

    def status(self, *, series: bool) -> Document:
        """Return the document; one that did not change is not sent again. Raises: VllmdError."""
        kept = self._kept.get(series)
        headers = {"if-none-match": kept[0]} if kept else {}
        url = self._url.copy_with(query=b"series") if series else self._url
        try:
            with self._client.stream("GET", url, headers=headers) as response:
                content = self._content(response) if response.status_code == 200 else b""
        except self._errors as error:
            said = str(error) or type(error).__name__
            raise DaemonUnreachableError(f"{self.label} does not answer: {said}") from None
        if response.status_code == 304 and kept:
            return kept[1]
        if response.status_code == 401:
            raise VllmdError(
                f"{self.label} wants a password: put 'machine {self._url.host} login NAME "
                "password WORD' into ~/.netrc"
            )
        if response.status_code != 200:
            raise VllmdError(f"{self.label} answered {response.status_code}")
        document = self._read(content)
        self._kept[series] = response.headers.get("etag", ""), document
        return document

    def _content(self, response: "httpx.Response") -> bytes:
        """Return what was sent, whoever it is that sends. Raises: VllmdError: it has no end."""
        began, content = self._monotonic(), bytearray()
        for part in response.iter_bytes():
            content += part
            if len(content) > MOST_BYTES:
                raise VllmdError(f"{self.label} sends more than {format_bytes(MOST_BYTES)}")
            if self._monotonic() - began > LONGEST_S:
                raise DaemonUnreachableError(
                    f"{self.label} answers too slowly: not all came in {LONGEST_S:.0f}s"
                )
        return bytes(content)

    def _read(self, content: bytes) -> Document:
        import json

        try:
            document = json.loads(content)
            list(engine_table.lines(document["engines"], document["at"], None))
            list(status_view.head(document["daemon"], document["at"]))
        except (*_UNREADABLE, RecursionError):
            raise VllmdError(f"{self.label} {NOT_OURS}") from None
        found: Document = document
        return found


class Host:
    """One daemon, and what is known of it: the last document, since when it is old, and why."""

    def __init__(self, source: StatusSource, *, local: bool) -> None:
        self.source = source
        self.local = local
        self.document: Document | None = None
        self.series: Mapping[str, Any] | None = None
        """The last series; None if none were asked for, or the daemon keeps none."""
        self.problem: str | None = None
        self.knows_series = True
        self.series_at = 0.0
        """When the series were told, by the clock of that host, in seconds since the epoch."""
        self.drawn: dict[tuple[object, ...], tuple[str, ...]] = {}
        """What was drawn of these series."""
        self._seen_at: float | None = None
        self._asked_series_at: float | None = None

    @property
    def label(self) -> str:
        """What it is called: its host's name, else how it is reached."""
        host = (self.document or {}).get("daemon", {}).get("host")
        return str(host) if host else self.source.label

    @property
    def now(self) -> float:
        """The time of what is known, by the clock of that host, in seconds since the epoch."""
        return float((self.document or {}).get("at") or 0.0)

    def age_s(self, monotonic: float) -> float:
        """Return how long ago it was seen."""
        return 0.0 if self._seen_at is None else max(0.0, monotonic - self._seen_at)

    def look(self, monotonic: float, wall: float, *, series: bool) -> None:
        """Ask it; what cannot be had is in `problem`, and what was seen last stays.

        `wall` is in place of the time that an older daemon does not tell.
        """
        due = series and (
            self._asked_series_at is None or monotonic - self._asked_series_at >= SERIES_S
        )
        try:
            document = self.source.status(series=due)
        except VllmdError as error:
            self.problem = str(error)
            return
        self.document = document if document.get("at") else {**document, "at": wall}
        self.problem = None
        self._seen_at = monotonic
        if due:
            self.series = document.get("series")
            self.knows_series = self.series is not None
            self.series_at = self.now
            self.drawn.clear()
            self._asked_series_at = monotonic

    def engine(self, name: str) -> Mapping[str, Any] | None:
        """Return one engine of the document; None if it has none of that name."""
        engines = (self.document or {}).get("engines", ())
        return next((each for each in engines if each["name"] == name), None)

    def engine_series(self, name: str) -> Mapping[str, Any]:
        """Return the series of an engine; nothing if there are none."""
        return dict(((self.series or {}).get("engines") or {}).get(name) or {})

    def gpu_series(self, uuid: str) -> Mapping[str, Any]:
        """Return the series of a GPU; nothing if there are none."""
        return dict(((self.series or {}).get("gpus") or {}).get(uuid) or {})
