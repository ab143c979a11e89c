"""What only one file shows: `test_pull` has whole models."""

from pathlib import Path

import httpx
import pytest

from tests.helpers.hub import COMMIT, FakeHub, serving
from vllmd.pulling.cache import ModelCache
from vllmd.pulling.download import ATTEMPTS, fetch
from vllmd.pulling.repository import Hub, PullError, RemoteFile, Repository


def test_attempts_wait_longer_each_time_and_what_came_is_kept(tmp_path: Path) -> None:
    content = b"x" * 5000
    with serving(FakeHub({"m.safetensors": content}, busy=10_000)) as made:
        file = RemoteFile("m.safetensors", 5000, "ab", made.blob("m.safetensors"))
        repository = Repository("org/m", COMMIT, (file,))
        cache = ModelCache(tmp_path, "org/m")
        hub = Hub(httpx.Client(), {"HF_ENDPOINT": made.url}, None)
        pauses: list[float] = []
        with pytest.raises(PullError, match="what came is kept"):
            fetch(hub, cache, repository, file, lambda _: None, pauses.append)
        assert pauses == [2.0**n for n in range(ATTEMPTS - 1)]
        made.busy = 0
        came: list[int] = []
        fetch(hub, cache, repository, file, came.append, pauses.append)
        assert sum(came) == 5000
        assert cache.blob(file).read_bytes() == content
