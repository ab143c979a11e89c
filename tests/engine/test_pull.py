"""What `vllmd pull` lays down is what the hub's own client, as vLLM has it, finds."""

import json
import os
import subprocess
from pathlib import Path

from tests.helpers.hub import FakeHub, serving
from tests.helpers.real import program_and_model
from vllmd.pulling.pull import pull

FIND = """
import json, sys
from huggingface_hub import scan_cache_dir, snapshot_download, try_to_load_from_cache
cache = sys.argv[1]
found = scan_cache_dir(cache)
(repo,) = found.repos
print(json.dumps({
    "folder": snapshot_download("org/m", cache_dir=cache, local_files_only=True),
    "file": try_to_load_from_cache("org/m", "model.safetensors", cache_dir=cache),
    "repo": repo.repo_id,
    "bytes": repo.size_on_disk,
    "warnings": [str(each) for each in found.warnings],
}))
"""


def test_cache_is_one_of_the_hubs_own_client(tmp_path: Path) -> None:
    program, _ = program_and_model()
    files = {"config.json": b"{}", "model.safetensors": b"w" * 4000}
    with serving(FakeHub(files)) as hub:
        done = pull("org/m", "main", {"HF_ENDPOINT": hub.url}, tmp_path)
    command = [str(program.with_name("python")), "-c", FIND, str(tmp_path)]
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout) == {
        "folder": str(done.folder),
        "file": str(done.folder / "model.safetensors"),
        "repo": "org/m",
        "bytes": 4002,
        "warnings": [],
    }
