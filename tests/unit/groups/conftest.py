import pytest

from tests.helpers.grouped import Network
from vllmd.groups import peers


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """What a test says of the network between hosts, of which none exists."""
    made = Network()
    monkeypatch.setattr(peers, "is_cut", made.is_cut)
    return made
