from pathlib import Path

from vllmd.doctor.service import clock_is_kept, exporter_addresses, find

SYSTEMCTL = """#!/bin/sh
case "$*" in
*vllmd-daemon*) echo LoadState={state}; echo 'Environment=HOME=/var/lib/vllmd "A=b c"';;
*) echo TimeoutStopUSec=1min 30s; echo LimitMEMLOCK=infinity; echo LimitNOFILE=65536;;
esac
"""


def program(folder: Path, text: str) -> str:
    path = folder / "program"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_units_limits_and_variables_are_read(tmp_path: Path) -> None:
    found = find(program(tmp_path, SYSTEMCTL.format(state="loaded")))
    assert found is not None
    assert found.env == {"HOME": "/var/lib/vllmd", "A": "b c"}
    assert (found.stop_s, found.open_files, found.locked_memory_bytes) == (90.0, 65536, None)


def test_no_units_and_no_systemd_are_none(tmp_path: Path) -> None:
    assert find(program(tmp_path, SYSTEMCTL.format(state="not-found"))) is None
    assert find(program(tmp_path, "#!/bin/sh\nexit 1\n")) is None
    assert find(str(tmp_path / "nothing")) is None


def test_limit_that_is_not_given_is_none(tmp_path: Path) -> None:
    text = SYSTEMCTL.format(state="loaded").replace("1min 30s", "infinity")
    found = find(program(tmp_path, text))
    assert found is not None
    assert found.stop_s is None


def test_clock_is_kept_or_not_or_nobody_knows(tmp_path: Path) -> None:
    assert clock_is_kept(program(tmp_path, "#!/bin/sh\necho yes\n")) is True
    assert clock_is_kept(program(tmp_path, "#!/bin/sh\necho no\n")) is False
    assert clock_is_kept(program(tmp_path, "#!/bin/sh\necho\n")) is None
    assert clock_is_kept(str(tmp_path / "nothing")) is None


def test_exporters_addresses_are_those_of_its_socket(tmp_path: Path) -> None:
    said = "#!/bin/sh\necho LoadState=loaded\necho 'Listen=[::]:9840 (Stream)'\n"
    assert exporter_addresses(program(tmp_path, said)) == (("::", 9840),)
    said += "echo 'Listen=127.0.0.1:9 (Stream) /run/x.sock (Stream)'\n"
    assert exporter_addresses(program(tmp_path, said)) == (("::", 9840), ("127.0.0.1", 9))
    assert exporter_addresses(program(tmp_path, said.replace("loaded", "not-found"))) == ()
    assert exporter_addresses(str(tmp_path / "nothing")) == ()
