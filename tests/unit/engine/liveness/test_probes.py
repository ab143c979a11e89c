import inspect

import pytest

from vllmd.daemon.engine_probes import EngineProbes
from vllmd.engine.liveness.probes import Probes

ASKED = [name for name, _ in inspect.getmembers(Probes, inspect.isfunction) if name[0] != "_"]


@pytest.mark.parametrize("name", ASKED)
def test_probes_of_the_daemon_answer_what_is_asked(name: str) -> None:
    asked, answered = (inspect.signature(getattr(each, name)) for each in (Probes, EngineProbes))
    assert list(answered.parameters) == list(asked.parameters)
