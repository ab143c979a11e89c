import asyncio
from pathlib import Path

import attrs
import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.make import config
from vllmd.config import command
from vllmd.config.run_options import Overrides
from vllmd.daemon.reload import (
    EARLIER,
    POLL_S,
    ConfigSnapshot,
    NoFileError,
    ReloadPlan,
    Reloads,
    in_force,
    plan,
    read_again,
    wait_until_usable,
)
from vllmd.engine.process.run_state import Endpoint, Run
from vllmd.errors import ConfigError, VllmdError

CHAT = '[engines.chat]\nmodel = "m"\n'


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (CHAT, CHAT, ReloadPlan()),
        (
            CHAT,
            CHAT + "liveness = { stall_s = 30 }",
            ReloadPlan(applied={"chat": ("liveness.stall_s",)}),
        ),
        (
            CHAT + 'env = { HF_TOKEN = "one" }',
            CHAT + 'env = { HF_TOKEN = "two" }\nflags = { seed = 1 }\nmax_model_len = 5',
            ReloadPlan(restart={"chat": ("max_model_len", "flags.seed", "env.HF_TOKEN")}),
        ),
        (
            CHAT,
            CHAT + "lora = { max_loras = 4 }\nrestart = { initial_s = 2 }",
            ReloadPlan(restart={"chat": ("lora", "restart.initial_s")}),
        ),
        (
            CHAT,
            CHAT.replace("chat", "other"),
            ReloadPlan(added=("other",), removed=("chat",), running=("chat",)),
        ),
        (CHAT, CHAT + "[history]\nmax_mb = 5", ReloadPlan(applied={"": ("history.max_mb",)})),
        (CHAT, CHAT + "[daemon]\npoll_s = 1", ReloadPlan(applied={"": ("daemon.poll_s",)})),
    ],
)
def test_plan_names_what_changed_and_what_needs_a_restart(
    before: str, after: str, expected: ReloadPlan
) -> None:
    old, new = config(before), config(after)
    running = {name: each.hash for name, each in command.build_all(old).items()}
    found = plan(old, ConfigSnapshot.of(new), running)
    assert found == expected
    assert "two" not in str(found.to_json())


def test_plan_knows_what_runs_and_not_only_what_was_read() -> None:
    old, new = config(CHAT), config(CHAT + "max_model_len = 5")
    runs_old = {"chat": command.build_all(old)["chat"].hash}
    assert plan(new, ConfigSnapshot.of(new), runs_old) == ReloadPlan(restart={"chat": (EARLIER,)})
    assert plan(new, ConfigSnapshot.of(old), runs_old) == ReloadPlan(
        applied={"chat": ("max_model_len",)}
    )
    assert plan(old, ConfigSnapshot.of(new), {}) == ReloadPlan(applied={"chat": ("max_model_len",)})
    removed = plan(old, ConfigSnapshot.of(config("")), {})
    assert (removed.removed, removed.running) == (("chat",), ())  # it does not run


def test_read_again_refuses_what_this_daemon_cannot_become(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    now = attrs.evolve(config(CHAT), path=str(path))
    with pytest.raises(VllmdError):
        read_again(now)
    path.write_text("[daemon]\nlisten = '127.0.0.1:1'")
    with pytest.raises(ConfigError, match=r"daemon\.listen"):
        read_again(now)
    path.write_text(CHAT)
    assert read_again(now).config == now
    with pytest.raises(NoFileError, match="not read from a file"):
        read_again(config(CHAT))


def test_in_force_reaches_what_runs_as_it_was_started() -> None:
    old = ConfigSnapshot.of(config(CHAT + 'port = 8001\nserved_model_name = "a"'))
    new = ConfigSnapshot.of(
        config(CHAT + 'port = 9001\nserved_model_name = "b"\nliveness = { stall_s = 7 }')
    )
    run = Run("r", old.commands["chat"].hash, Endpoint.of(old.config.engines["chat"]))
    now = in_force(new, old, {"chat": run}, ())
    chat = now.config.engines["chat"]
    assert (chat.port, chat.served_names, chat.liveness.stall_s) == (8001, ("a",), 7)
    assert now.commands["chat"] == old.commands["chat"]
    over = in_force(new, now, {}, ())
    assert (over.config.engines, over.commands) == (new.config.engines, new.commands)
    found = in_force(new, None, {"chat": run}, ())  # by a daemon that was restarted
    assert found.config.engines["chat"].port == 8001


def test_in_force_keeps_what_is_just_being_stopped() -> None:
    old, new = ConfigSnapshot.of(config(CHAT)), ConfigSnapshot.of(config(""))
    assert in_force(new, old, {}, ()).config.engines == {}
    now = in_force(new, old, {}, ("chat",))
    assert now.config.engines == old.config.engines
    assert now.commands == old.commands


def test_reloads_remember_the_last_good_reading() -> None:
    reloads = Reloads()
    reloads.accept(5.0)
    reloads.refuse("line 3")
    assert (reloads.problem, reloads.succeeded_at) == ("line 3", 5.0)
    assert "nothing changed: line 3" in str(reloads.refusal)
    reloads.accept(6.0)
    assert (reloads.problem, reloads.succeeded_at, reloads.refusal) == (None, 6.0, None)


async def test_wait_until_usable_ends_when_the_file_is_mended(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "v.toml"
    task = asyncio.create_task(wait_until_usable(path, clock))  # it is missing

    async def looked(times: int) -> None:
        for _ in range(times):
            slept = len(clock.slept)
            await clock.advance(POLL_S)
            for _ in range(5000):  # it is read in a thread
                if len(clock.slept) > slept or task.done():
                    break
                await asyncio.sleep(0.001)

    await looked(2)
    path.write_text("broken")
    await looked(2)
    assert not task.done()
    path.write_text(CHAT)
    await looked(1)
    await task


def test_read_again_keeps_what_the_command_line_gave(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    path.write_text('[daemon]\nlisten = "127.0.0.1:1"\n')
    flags = Overrides(listen=("127.0.0.1", 2))
    now = flags.apply(attrs.evolve(config(""), path=str(path)))
    new = read_again(now, flags)
    assert new.config.daemon.listen == ("127.0.0.1", 2)
    assert plan(now, new, {}) == ReloadPlan()


def test_read_again_refuses_another_web_configuration_that_cannot_be_used(tmp_path: Path) -> None:
    path, web = tmp_path / "v.toml", tmp_path / "web.yml"
    path.write_text(f'[daemon]\nweb_config_file = "{web}"\n')
    now = attrs.evolve(config(""), path=str(path))
    with pytest.raises(ConfigError, match=r"web.yml: error: cannot be read"):
        read_again(now)
    web.write_text("")
    new = read_again(now)
    assert plan(now, new, {}) == ReloadPlan(applied={"": ("daemon.web_config_file",)})
    web.unlink()  # the same one: what was read before still holds
    read_again(new.config)
