"""A real Alertmanager, as etc/ configures it: what it is told, keeps quiet and sends."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import httpx

from tests.helpers.ports import free_port
from tests.helpers.receiver import receiver
from tests.helpers.servers import running
from tests.helpers.site import wait_for

CONFIG = Path(__file__).parents[2] / "etc" / "alertmanager" / "alertmanager.yml"
Labels = Mapping[str, str]


@attrs.frozen
class Sent:
    """One alert as a webhook got it."""

    receiver: str
    status: str
    labels: Labels
    annotations: Labels


class Alertmanager:
    """One that runs, and the webhooks that it sends to."""

    def __init__(self, url: str, bodies: list[bytes]) -> None:
        self.url = url
        self._bodies = bodies

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(method, f"{self.url}/api/v2/{path}", json=body, trust_env=False)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def tell(self, *alerts: tuple[Labels, Labels]) -> None:
        """Let alerts fire: each has labels, and annotations."""
        body = [{"labels": labels, "annotations": words} for labels, words in alerts]
        self._ask("POST", "alerts", body)

    def quieted(self) -> list[tuple[Labels, bool]]:
        """Return the labels of all that fires, and whether another alert keeps it quiet."""
        return [
            (each["labels"], bool(each["status"]["inhibitedBy"]))
            for each in self._ask("GET", "alerts")
        ]

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Let nothing be sent until the end of the block."""
        now = datetime.now(UTC)
        matcher = {"name": "alertname", "value": ".+", "isRegex": True, "isEqual": True}
        body = {
            "matchers": [matcher],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "test",
            "comment": "until all of them are there",
        }
        made = self._ask("POST", "silences", body)["silenceID"]
        yield
        self._ask("DELETE", f"silence/{made}")

    def sent(self) -> Sequence[Sent]:
        """Return what webhooks got so far, the oldest first."""
        messages = [json.loads(body) for body in list(self._bodies)]
        return [
            Sent(message["receiver"], each["status"], each["labels"], each["annotations"])
            for message in messages
            for each in message["alerts"]
        ]


@contextmanager
def alertmanager(folder: Path) -> Iterator[Alertmanager]:
    """Run it; only addresses and times are others than in etc/."""
    with receiver("") as (url, bodies):
        text = CONFIG.read_text().replace("http://127.0.0.1:9095/", url)
        text = re.sub(r"group_wait: \w+", "group_wait: 0s", text)
        text = re.sub(r"group_interval: \w+", "group_interval: 1s", text)
        file = folder / "alertmanager.yml"
        file.write_text(text)
        address = f"127.0.0.1:{free_port()}"
        made = Alertmanager(f"http://{address}", bodies)
        with running(
            "prometheus-alertmanager",
            f"--config.file={file}",
            f"--storage.path={folder}/alertmanager",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
            log=folder / "alertmanager.log",
            up=lambda: _ready(made.url),
        ):
            yield made


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def unquieted(made: Alertmanager, wanted: Mapping[str, set[str]]) -> None:
    """Wait until of these hosts exactly these alerts are not kept quiet, by the host's name."""

    def loud() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {host: set() for host in wanted}
        for labels, quiet in made.quieted():
            host = labels.get("instance") or labels.get("fleet", "")
            if host in wanted and not quiet:
                found[host].add(labels["alertname"])
        return found

    try:
        wait_for("those that are not kept quiet", lambda: loud() == wanted)
    except AssertionError:
        if (found := loud()) != wanted:
            raise AssertionError(f"{found} instead of {wanted}") from None
