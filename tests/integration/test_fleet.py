"""Two hosts behind a real HAProxy: one after the other is restarted, and no request is lost.

`make several-hosts` has the other balancers, and what goes wrong on the way.
"""

from pathlib import Path

from tests.helpers.replicas import Clients, fleet, haproxy, replicas
from tests.helpers.site import wait_for


def test_hosts_are_restarted_one_after_the_other_without_a_lost_request(tmp_path: Path) -> None:
    with replicas(tmp_path, fleet="settle_s = 3\n") as made, haproxy(made) as url:
        with Clients(url, count=4) as clients:
            wait_for("a first answer", lambda: clients.outcomes["answered"])
            done = fleet(made, "restart", "tiny")
            assert done.returncode == 0, done.stdout + done.stderr
        ends = [site.engine("chat")["last_exit"]["requested"] for site in made.sites.values()]
        shown = fleet(made, "status").stdout
    assert clients.failed == {}
    assert ends == [True, True]
    assert "tiny: 2 of 2 ready" in shown
