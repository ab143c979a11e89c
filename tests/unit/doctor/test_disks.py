from pathlib import Path

from tests.helpers.make import config
from vllmd.doctor.disks import disks, leftovers
from vllmd.engine.restart.compile_cache import vllm_cache


def test_disks_of_folders_that_are_not_there_yet_are_those_above(tmp_path: Path) -> None:
    made = config(
        f'[daemon]\nrun_dir = "{tmp_path}/run"\nstate_dir = "{tmp_path}/state"\n'
        f'log_dir = "{tmp_path}/log"\n'
    )
    found = disks(made, {"HF_HOME": str(tmp_path / "hf"), "VLLM_CACHE_ROOT": str(tmp_path)})
    assert {each.purpose: each.folder for each in found} == {
        "vllmd's sockets and records": f"{tmp_path}/run",
        "vllmd's state": f"{tmp_path}/state",
        "vllmd's logs": f"{tmp_path}/log",
        "compiled kernels": str(tmp_path),
        "downloaded models": f"{tmp_path}/hf/hub",
    }
    assert all(each.free > 0 and each.size and each.enough is not None for each in found)


def test_leftovers_are_found_and_sized(tmp_path: Path) -> None:
    env = {"HF_HOME": str(tmp_path / "hf"), "XDG_CACHE_HOME": str(tmp_path)}
    assert list(leftovers(env, tmp_path / "engine")) == []
    for name in ("hf/hub/models--a--b/blobs/x.incomplete", "vllm/torch_compile_cache/k", "hf/y"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 5000)
    (tmp_path / "engine" / "0.31.0").mkdir(parents=True)
    (tmp_path / "engine" / "0.31.0" / ".incomplete").write_text("x")
    found = {each.what: each.size for each in leftovers(env, tmp_path / "engine")}
    assert found == {
        "interrupted downloads": 8192,
        "compiled kernels of all versions and models": 8192,
        "an unfinished installation of an engine": 4096,
    }


def test_compile_cache_follows_vllms_variables() -> None:
    assert vllm_cache({"VLLM_CACHE_ROOT": "/v"}) == Path("/v")
    assert vllm_cache({"HOME": "/h"}) == Path("/h/.cache/vllm")
