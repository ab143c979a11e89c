import time
from datetime import datetime

import click
import pytest

from vllmd.cli.moment import MomentType


def test_moment_is_a_time_ago_or_a_date() -> None:
    moment = MomentType()
    assert moment.convert("2h", None, None) == pytest.approx(time.time() - 7200, abs=5)
    day = datetime(2026, 1, 31).timestamp()
    assert moment.convert("2026-01-31", None, None) == day
    assert moment.convert("2026-01-31T03:15", None, None) == day + 3 * 3600 + 15 * 60
    with pytest.raises(click.BadParameter, match="'soon' is neither"):
        moment.convert("soon", None, None)
