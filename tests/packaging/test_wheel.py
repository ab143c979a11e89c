"""The wheel: the same bytes each time, whole without the checkout, as a tool of uv and by pip."""

import contextlib
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from email import message_from_string
from pathlib import Path

import httpx
import pytest

from tests.helpers.ports import free_port
from tests.helpers.site import sweep, wait_for

ROOT = Path(__file__).parents[2]
BUILD = str(ROOT / "packaging" / "build-wheel.sh")
UV = Path(sys.executable).with_name("uv")


def _run(*command: str, cwd: Path, env: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _build(folder: Path, umask: str, zone: str) -> Path:
    env = {**os.environ, "PYTHON": sys.executable, "TZ": zone}
    _run("sh", "-c", f'umask {umask}; exec {BUILD} "$1"', "sh", str(folder), cwd=ROOT, env=env)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("wheel"), "022", "UTC")


@pytest.fixture(scope="module")
def tool(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel as a tool of uv; returns its command."""
    folder = tmp_path_factory.mktemp("tool")
    env = {**os.environ, "UV_TOOL_DIR": f"{folder}/t", "UV_TOOL_BIN_DIR": f"{folder}/bin"}
    python = str(Path(sys.executable).resolve())
    _run(str(UV), "tool", "install", "--python", python, str(wheel), cwd=folder, env=env)
    return folder / "bin" / "vllmd"


def _clean(home: Path) -> dict[str, str]:
    """Return an environment in which nothing leads to the checkout."""
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}


def test_two_builds_are_the_same_whatever_lies_in_the_checkout(wheel: Path, tmp_path: Path) -> None:
    left = ROOT / "build" / "lib" / "vllmd" / "gone.py"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text("1 / 0\n")
    try:
        again = _build(tmp_path, "077", "Asia/Tokyo")
    finally:
        left.unlink()
    assert again.read_bytes() == wheel.read_bytes()


def test_wheel_has_what_is_no_python_and_names_its_extras(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata] = [name for name in names if name.endswith("/METADATA")]
        about = message_from_string(archive.read(metadata).decode())
    share = {name.partition("/data/share/vllmd/")[2] for name in names}
    assert {"vllmd.toml", "web.yml", "systemd/vllmd-daemon.service"} <= share
    assert {f"dashboards/{each.name}" for each in (ROOT / "dashboards").glob("*.json")} <= share
    rules = {f"rules/{each.name}" for each in (ROOT / "dashboards" / "rules").glob("*.yml")}
    assert rules
    assert rules <= share
    runbooks = {f"vllmd/runbooks/{each.name}" for each in (ROOT / "docs/runbooks").glob("*.md")}
    assert {*runbooks, "vllmd/status/schema.json", "vllmd/http/assets/status.css"} <= set(names)
    assert about.get_all("Provides-Extra") == ["client", "engine"]
    needed = about.get_all("Requires-Dist") or []
    assert 'vllm; extra == "engine"' in needed


def test_tool_of_uv_says_its_version_and_what_it_brought(tool: Path, tmp_path: Path) -> None:
    env = _clean(tmp_path)
    assert "0.1.0" in _run(str(tool), "--version", cwd=tmp_path, env=env)
    assert "groups:" in _run(str(tool), "rules", "export", cwd=tmp_path, env=env)
    assert "VllmdDown" in _run(str(tool), "runbook", "VllmdDown", cwd=tmp_path, env=env)


def test_tool_of_uv_writes_a_configuration_and_serves(tool: Path, tmp_path: Path) -> None:
    env = _clean(tmp_path)
    config = tmp_path / "vllmd.toml"
    chosen = ("--model", "org/m", "--yes", "--config", str(config))
    _run(str(tool), "init", *chosen, cwd=tmp_path, env=env)
    port, exporter = free_port(), free_port()
    folders = "".join(
        f'{name} = "{tmp_path}/{name}"\n' for name in ("run_dir", "state_dir", "log_dir")
    )
    engine = config.read_text().replace(
        '"org/m"', f'"org/m"\nexecutable = "stand-in"\nport = {port}'
    )
    engine = "\n".join(line for line in engine.splitlines() if not line.startswith("port = 8"))
    config.write_text(
        f'[daemon]\nlisten = "127.0.0.1:{exporter}"\n{folders}'
        f'[traces]\nlisten_http = ""\nlisten_grpc = ""\n{engine}\n'
    )
    with _daemon(tool, config, env):
        page = f"http://127.0.0.1:{exporter}/metrics"
        wait_for("ready", lambda: 'vllmd_engine_up{vllmd_engine="main"} 1.0' in _get(page), 90)
        assert _get(f"http://127.0.0.1:{port}/v1/models")


def _get(url: str) -> str:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url).text
    return ""


@contextlib.contextmanager
def _daemon(tool: Path, config: Path, env: Mapping[str, str]) -> Iterator[None]:
    command = [str(tool), "run", "--config", str(config)]
    with (config.parent / "daemon.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=config.parent, env=dict(env), stderr=log)
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        sweep(config.parent)


def test_pip_installs_it_with_the_locked_versions(wheel: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    _run(sys.executable, "-m", "venv", "own", cwd=tmp_path, env=env)
    pip = (str(tmp_path / "own/bin/python"), "-m", "pip", "install", "--quiet")
    locked = str(ROOT / "requirements" / "runtime.txt")
    _run(*pip, "--require-hashes", "--only-binary", ":all:", "-r", locked, cwd=tmp_path, env=env)
    _run(*pip, "--no-deps", str(wheel), cwd=tmp_path, env=env)
    _run(str(tmp_path / "own/bin/python"), "-m", "pip", "check", cwd=tmp_path, env=env)
    said = _run(str(tmp_path / "own/bin/vllmd"), "--version", cwd=tmp_path, env=_clean(tmp_path))
    assert "0.1.0" in said
    assert (tmp_path / "own/share/vllmd/systemd/vllmd.service").exists()
