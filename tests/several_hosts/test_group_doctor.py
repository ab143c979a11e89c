"""`vllmd doctor` of a group over two hosts, each a network namespace."""

import json
from pathlib import Path

from tests.helpers.hosts import Host, hosts
from tests.helpers.site import VLLMD


def findings(host: Host) -> dict[str, str]:
    """Return what the doctor finds of the group there, by check."""
    words = ["doctor", "big", "--json", "--offline", "-c", str(host.site.config)]
    socket = host.site.folder / "run" / "control.sock"
    done = host.run(str(VLLMD), *words, "--socket", str(socket), timeout_s=120)
    found = json.loads(done.stdout)["findings"]
    of_group = {each["check"]: each["found"] for each in found if "group-" in each["check"]}
    of_group.pop("group-names", None)  # of the machine that tests
    return of_group


def test_doctor_asks_the_other_host_of_a_group(tmp_path: Path) -> None:
    more = "flags.tensor-parallel-size = 2"
    with hosts(tmp_path, 2, "tensor", more=more) as made:
        made.serve()
        head, (member,) = made.head, made.members
        assert [findings(head), findings(member)] == [{}, {}]
        config = member.site.config
        whole = config.read_text()
        config.write_text(whole.replace(more, f"{more}\nmax_num_seqs = 16"))
        said = f"the engine's table on {head.address} is another than on this host"
        assert findings(member) == {"group-alike": said}
        config.write_text(whole)
        member.cable(plugged=False)
        (told,) = findings(head).items()
        assert told[0] == "group-reach"
        assert told[1].startswith(f"{member.address} gives no page of big: ")
