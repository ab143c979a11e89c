from pathlib import Path

import pytest

from vllmd.engine.restart.compile_cache import ASIDE, NAME, folder, set_aside


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"VLLM_CACHE_ROOT": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, f"/a/{NAME}"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, f"/b/vllm/{NAME}"),
        ({"HOME": "/c"}, f"/c/.cache/vllm/{NAME}"),
    ],
)
def test_folder_is_where_vllm_keeps_it(env: dict[str, str], expected: str) -> None:
    assert str(folder(env)) == expected


def test_set_aside_keeps_one(tmp_path: Path) -> None:
    env = {"VLLM_CACHE_ROOT": str(tmp_path)}
    assert set_aside(env) is None
    for content in ("first", "second"):
        (tmp_path / NAME).mkdir()
        (tmp_path / NAME / "graph").write_text(content)
        assert set_aside(env) == tmp_path / ASIDE
        assert not (tmp_path / NAME).exists()
        assert (tmp_path / ASIDE / "graph").read_text() == content
