import inspect

import pytest

from vllmd.daemon.engine_probes import EngineProbes
from vllmd.engine.liveness.probes import Probes

ASKED = [name for name, _ in inspect.getmembers(Probes, inspect.isfunction) if name[0] != "_"]


@pytest.mark.parametrize("name", ASKED)
def test_probes_of_the_daemon_answer_what_is_asked(name: str) -> None:
    answer = getattr(EngineProbes, name, None)
    if answer is None:  # it is handed over
        assert f"self.{name} = {name}" in inspect.getsource(EngineProbes.__init__)
        return
    asked, answered = inspect.signature(getattr(Probes, name)), inspect.signature(answer)
    assert list(answered.parameters) == list(asked.parameters)
