"""Weights that outlive an engine, with the stand-in: what happens, in which order."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.kept_weights import short_folder
from tests.helpers.preloading import preloading, write_model
from tests.helpers.site import Site, gone, wait_for
from vllmd.shim import proc

OTHER = "[engines.other]\nmodel = 'x'\nexecutable = 'stand-in'\nautostart = false\n"
MAPPED = "Mapped 0 tensors from the weight cache daemon"
FALLBACK = "falling back to disk loading"


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as made:
        yield made


@pytest.fixture
def chat(folder: Path) -> Iterator[Site]:
    with preloading(folder) as made:
        yield made


def weights(made: Site) -> dict[str, Any]:
    found: dict[str, Any] = made.engine("chat")["weights"]
    return found


def ranks_of(made: Site) -> list[proc.Stat]:
    found = proc.descendants(weights(made)["shim_pid"])
    return [each for each in found if "vllmd.demo.weights" in proc.command_line(each.pid)]


def events(made: Site, *names: str) -> list[tuple[str, dict[str, Any]]]:
    said = made.vllmd("events", "--json", "-c", str(made.config), "chat").stdout
    found = [json.loads(line) for line in said.splitlines()]
    return [(each["name"], each["fields"]) for each in found if each["name"] in names]


def lines(made: Site, text: str) -> int:
    return (made.folder / "log" / "chat.log").read_text().count(text)


def test_weights_are_complete_before_the_engine_starts_and_it_maps_them(chat: Site) -> None:
    names = ("weights.spawned", "weights.ready", "engine.spawned")
    assert [name for name, _ in events(chat, *names)] == list(names)
    found = weights(chat)
    assert (found["state"], found["ranks_ready"], found["ranks"]) == ("ready", 2, 2)
    assert lines(chat, MAPPED) == 1
    assert "Weights: kept in GPU memory (2 of 2)" in chat.vllmd("status", "chat").stdout
    said = chat.vllmd("logs", "chat", "--weights", "-c", str(chat.config)).stdout
    assert said.count("serving on") == 2
    folder = chat.folder / "run" / "weights" / "chat"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in folder.glob("vllm_*.sock")} == {0o600}


@pytest.mark.parametrize("victim", ["core", "server", "shim", "hang"])
def test_every_death_of_the_engine_leaves_the_weights_and_the_next_maps_them(
    chat: Site, victim: str
) -> None:
    before, kept = chat.engine("chat"), weights(chat)
    pids = {
        "server": before["pid"],
        "shim": before["shim_pid"],
    }
    pid = pids.get(victim) or chat.process("chat", "VLLM::EngineCore").pid
    os.kill(pid, signal.SIGSTOP if victim == "hang" else signal.SIGKILL)
    if victim == "hang":
        with pytest.raises(Exception, match=r"(?s).*"):
            chat.client().with_options(timeout=20).completions.create(model="tiny", prompt="a")
    chat.wait_new_run("chat", before, 120)
    assert weights(chat)["run_id"] == kept["run_id"]
    assert (lines(chat, MAPPED), lines(chat, FALLBACK)) == (2, 0)
    assert not events(chat, "weights.ended", "weights.renewed")


def test_a_daemon_that_is_killed_finds_the_weights_again(chat: Site) -> None:
    before, kept = chat.engine("chat"), weights(chat)
    chat.kill_daemon()
    os.kill(before["pid"], signal.SIGKILL)
    chat.start()
    chat.wait_new_run("chat", before, 120)
    assert weights(chat)["run_id"] == kept["run_id"]
    assert lines(chat, MAPPED) == 2
    assert len(events(chat, "weights.adopted")) == 1


def test_a_flag_that_leaves_weights_as_they_are_renews_none_and_another_does(chat: Site) -> None:
    before, kept = chat.engine("chat"), weights(chat)
    text = chat.config.read_text()
    chat.config.write_text(text.replace("max_num_seqs = 256", "max_num_seqs = 128"))
    assert chat.vllmd("reload", "--apply").returncode == 0
    after = chat.wait_new_run("chat", before, 120)
    assert weights(chat)["run_id"] == kept["run_id"]
    chat.config.write_text(f"{text}\n[engines.chat.env]\nSOME_NEW_VARIABLE = '1'\n")
    assert chat.vllmd("reload", "--apply").returncode == 0
    chat.wait_new_run("chat", after, 120)
    assert weights(chat)["run_id"] != kept["run_id"]
    ((_, renewed),) = events(chat, "weights.renewed")
    assert "the command by which they were loaded is another" in renewed["why"]


def test_stop_gives_the_weights_up_and_keep_weights_does_not(chat: Site) -> None:
    kept, ranks = weights(chat), ranks_of(chat)
    assert len(ranks) == 2
    done = chat.vllmd("stop", "chat", "--keep-weights")
    assert done.returncode == 0, done.stderr
    assert (weights(chat)["run_id"], weights(chat)["kept"]) == (kept["run_id"], True)
    chat.kill_daemon()
    chat.start()
    wait_for("adopted", lambda: weights(chat)["run_id"])
    assert not gone(*ranks), "the next daemon keeps them too"
    assert chat.vllmd("start", "chat", "--wait").returncode == 0
    assert weights(chat)["run_id"] == kept["run_id"]
    assert lines(chat, MAPPED) == 2
    done = chat.vllmd("stop", "chat")
    assert done.returncode == 0, done.stderr
    assert gone(*ranks), "a stop returns when nothing is left"
    assert weights(chat)["state"] == "absent"
    assert [name for name, _ in events(chat, "weights.ended", "weights.released")] == [
        "weights.ended",
        "weights.released",
    ]


def test_death_of_the_weights_is_told_the_engine_serves_on_and_the_next_start_loads_anew(
    chat: Site,
) -> None:
    before, kept = chat.engine("chat"), weights(chat)
    os.kill(kept["pid"], signal.SIGKILL)
    wait_for("absent", lambda: weights(chat)["state"] == "absent")
    ((_, ended),) = events(chat, "weights.ended")
    assert (ended["code"], ended["requested"], ended["run_id"]) == (
        "SIGKILL",
        False,
        kept["run_id"],
    )
    assert ended["cause"]
    assert chat.chat("tiny")
    assert chat.engine("chat")["run_id"] == before["run_id"]
    assert chat.vllmd("restart", "chat", "--wait").returncode == 0
    assert weights(chat)["state"] == "ready"
    assert (lines(chat, MAPPED), lines(chat, FALLBACK)) == (2, 0)


def test_death_of_one_rank_is_told_and_the_next_start_loads_all_anew(chat: Site) -> None:
    kept, (rank, _) = weights(chat), ranks_of(chat)
    os.kill(rank.pid, signal.SIGKILL)
    wait_for("incomplete", lambda: weights(chat)["state"] == "incomplete")
    ((_, lost),) = events(chat, "weights.rank_lost")
    assert (lost["ranks"], lost["left"]) == (2, 1)
    assert chat.chat("tiny")
    assert chat.vllmd("restart", "chat", "--wait").returncode == 0
    assert weights(chat)["state"] == "ready"
    assert weights(chat)["run_id"] != kept["run_id"]


def test_killed_shim_of_the_weights_leaves_no_orphan(chat: Site) -> None:
    kept, ranks = weights(chat), ranks_of(chat)
    os.kill(kept["shim_pid"], signal.SIGKILL)
    wait_for("absent", lambda: weights(chat)["state"] == "absent")
    assert gone(*ranks)
    ((_, ended),) = events(chat, "weights.ended")
    assert ended["code"] == "shim_lost"


@pytest.mark.parametrize("how", ["rewritten", "renamed", "times set back"])
def test_a_retrained_checkpoint_of_the_same_shapes_is_loaded_anew(chat: Site, how: str) -> None:
    before, kept, model = chat.engine("chat"), weights(chat), chat.folder / "model"
    path = model / "model.safetensors"
    about = path.stat()
    if how == "renamed":
        write_model(chat.folder / "new", 2)
        shutil.move(chat.folder / "new" / "model.safetensors", path)
    else:
        write_model(model, 2)
    if how == "times set back":
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    os.kill(before["pid"], signal.SIGKILL)
    chat.wait_new_run("chat", before, 120)
    assert weights(chat)["run_id"] != kept["run_id"]
    ((_, renewed),) = events(chat, "weights.renewed")
    assert renewed["why"] == f"{path} changed"
    assert (lines(chat, MAPPED), lines(chat, FALLBACK)) == (2, 0)


def test_weights_that_cannot_be_loaded_ahead_are_told_and_the_engine_loads_them(
    chat: Site,
) -> None:
    problem = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    text = chat.config.read_text()
    chat.config.write_text(
        f"{text}\n[engines.chat.env]\nVLLMD_STAND_IN_PRELOAD_FAILS = '{problem}'\n"
    )
    before = chat.engine("chat")
    assert chat.vllmd("reload", "--apply").returncode == 0
    chat.wait_new_run("chat", before, 120)
    assert lines(chat, FALLBACK) == 1
    ended = [fields for _, fields in events(chat, "weights.ended") if not fields["requested"]]
    assert [each["cause"] for each in ended] == ["cuda_out_of_memory"]
    assert "cuda_out_of_memory" in weights(chat)["problem"]
    assert len(events(chat, "weights.not_loaded")) == 1


def is_over(made: Site, ranks: list[proc.Stat]) -> bool:
    folder = made.folder / "run" / "weights" / "chat"
    return gone(*ranks) and not (folder / "run.json").exists()


@pytest.mark.parametrize("state", ["stopped", "backoff"])
def test_reload_that_renames_an_engine_that_does_not_run_ends_its_weights(
    chat: Site, state: str
) -> None:
    ranks, before = ranks_of(chat), chat.engine("chat")
    text = chat.config.read_text()
    if state == "stopped":
        assert chat.vllmd("stop", "chat", "--keep-weights").returncode == 0
    else:
        text = text.replace("initial_s = 0.1, max_s = 1", "initial_s = 600, max_s = 900")
        chat.config.write_text(text)
        assert chat.vllmd("reload").returncode == 0
        os.kill(before["pid"], signal.SIGKILL)
        chat.wait_state("chat", "backoff", 60)
    assert not gone(*ranks)
    chat.config.write_text(text.replace("[engines.chat", "[engines.talk"))
    assert chat.vllmd("reload").returncode == 0
    wait_for("nothing left", lambda: is_over(chat, ranks), 60)
    chat.wait_state("talk", "ready", 120)


def test_engine_that_left_the_configuration_takes_its_weights_along_once_it_ends(
    chat: Site,
) -> None:
    ranks, before = ranks_of(chat), chat.engine("chat")
    text = chat.config.read_text()
    chat.config.write_text(text[: text.index("[engines.chat]")] + OTHER)
    assert chat.vllmd("reload").returncode == 0
    wait_for("told", lambda: "weights.unconfigured" in chat.vllmd("events").stdout)
    assert not gone(*ranks), "the engine runs on with them"
    chat.kill_daemon()
    chat.start()
    wait_for("told again", lambda: chat.vllmd("events").stdout.count("weights.unconfigured") == 2)
    assert not gone(*ranks)
    os.kill(before["shim_pid"], signal.SIGTERM)
    wait_for("nothing left", lambda: is_over(chat, ranks), 60)


def test_daemon_with_another_file_ends_weights_of_no_engine(chat: Site) -> None:
    ranks, text = ranks_of(chat), chat.config.read_text()
    assert chat.vllmd("stop", "chat", "--keep-weights").returncode == 0
    chat.kill_daemon()
    assert not gone(*ranks)
    chat.config.write_text(text[: text.index("[engines.chat]")] + OTHER)
    chat.start()
    wait_for("nothing left", lambda: is_over(chat, ranks), 60)
