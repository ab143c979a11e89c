from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.kept_weights import short_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as made:
        yield made
