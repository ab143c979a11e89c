"""`vllmd init`: what it writes is a good configuration, and nothing of a person's is lost."""

import json
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner, Result

from tests.helpers.doctor import WELL
from tests.helpers.models import CONFIGS
from tests.unit.doctor.test_models import make
from vllmd.cli import init
from vllmd.cli.examining import HostView
from vllmd.config.load import load
from vllmd.doctor import models
from vllmd.doctor.account import UserAccount
from vllmd.doctor.seen import GpuFacts
from vllmd.errors import VllmdError
from vllmd.util.units import GIB


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with one H200, and no models but those that a test makes."""
    env = {"HF_HOME": str(tmp_path / "hf"), "PATH": "/bin", "HOME": str(tmp_path)}
    view = HostView(WELL, UserAccount("root", 0, frozenset()), env)
    monkeypatch.setattr(init, "look", lambda *_: view)
    monkeypatch.setattr(models, "USUAL", (tmp_path / "models",))
    monkeypatch.setattr(init.hub, "config_of", lambda *_: {})  # type: ignore[attr-defined]
    monkeypatch.setattr(init.hub, "problem", lambda *_: None)  # type: ignore[attr-defined]


def run(folder: Path, *arguments: str, text: str = "") -> Result:
    where = ["--config", str(folder / "etc" / "vllmd.toml"), "--socket", str(folder / "no.sock")]
    return CliRunner().invoke(
        init.command, [*where, *arguments], input=text, catch_exceptions=False
    )


def test_largest_model_is_taken_and_each_number_has_its_reason(tmp_path: Path) -> None:
    make(tmp_path / "models" / "small", 10)
    big = make(tmp_path / "models" / "Big Model", 1000)
    result = run(tmp_path, "--yes")
    assert result.exit_code == 0, result.output
    path = tmp_path / "etc" / "vllmd.toml"
    config, warnings = load(path)
    assert warnings == []
    engine = config.engines["main"]
    assert (engine.model, engine.served_names) == (str(big), ("big-model",))
    assert engine.gpu_memory_utilization == 0.9
    assert engine.enable_prefix_caching
    assert engine.env["HF_HUB_OFFLINE"] == "1"
    text = path.read_text().splitlines()
    share = next(i for i, line in enumerate(text) if line.startswith("gpu_memory"))
    assert text[share - 1].startswith("# Of each GPU")
    given = f"--config {path}"
    assert f"next: vllmd engine install · vllmd doctor {given} · vllmd run {given}" in result.output
    assert path.stat().st_mode & 0o777 == 0o644


def test_on_a_mac_it_names_what_serves_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(init.sys, "platform", "darwin")  # type: ignore[attr-defined]
    with pytest.raises(VllmdError, match=r"llama\.cpp or Ollama"):
        run(tmp_path, "--yes")
    assert not (tmp_path / "etc").exists()


def test_what_is_named_is_taken(tmp_path: Path) -> None:
    more = ("--model", "Qwen/Qwen3-8B", "--name", "chat", "--served-model-name", "q", "--port")
    shown = json.loads(run(tmp_path, "--yes", "--json", *more, "8123").stdout)
    config, _ = load(Path(shown["path"]))
    engine = config.engines["chat"]
    assert (engine.model, engine.served_names, engine.port) == ("Qwen/Qwen3-8B", ("q",), 8123)
    assert "HF_HUB_OFFLINE" not in engine.env
    assert {each["key"] for each in shown["settings"]} == {
        "gpu_memory_utilization",
        "enable_prefix_caching",
    }
    assert run(tmp_path, "--yes", "--name", "A B").exit_code == 2


def test_numbers_for_a_model_to_be_downloaded_are_by_the_hubs_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def config_of(name: str, _: object) -> object:
        asked.append(name)
        return CONFIGS["Llama-3-70B"]

    monkeypatch.setattr(init.hub, "config_of", config_of)  # type: ignore[attr-defined]
    shown = json.loads(run(tmp_path, "--yes", "--json", "--model", "org/big").stdout)
    found = {each["key"]: each["value"] for each in shown["settings"]}
    # 131.4 GiB of weights on one GPU of 139.8: there is no room, and no second GPU
    assert "max_model_len" not in found
    assert asked == ["org/big"]
    monkeypatch.setattr(init.hub, "config_of", lambda *_: CONFIGS["Qwen3-8B"])  # type: ignore[attr-defined]
    shown = json.loads(run(tmp_path / "b", "--yes", "--json", "--model", "org/m").stdout)
    found = {each["key"]: each["value"] for each in shown["settings"]}
    assert found["max_model_len"] == 32768


def test_no_model_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(VllmdError, match=r"no model was found.*models: give --model"):
        run(tmp_path, "--yes")


def test_model_that_does_not_fit_is_not_taken_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "models" / "m", 10)
    monkeypatch.setattr(init, "fits", lambda _: False)
    with pytest.raises(VllmdError, match="none of the 1 models here fits"):
        run(tmp_path, "--yes")
    assert not (tmp_path / "etc").exists()


def test_file_with_engines_is_left_alone_and_one_without_is_kept(tmp_path: Path) -> None:
    make(tmp_path / "models" / "m", 10)
    path = tmp_path / "etc" / "vllmd.toml"
    path.parent.mkdir()
    path.write_text("# the package's own\n")
    assert run(tmp_path, "--yes").exit_code == 0
    assert (tmp_path / "etc" / "vllmd.toml.before-init").read_text() == "# the package's own\n"
    before = path.read_text()
    with pytest.raises(VllmdError, match="has main already: nothing was changed"):
        run(tmp_path, "--yes")
    assert path.read_text() == before
    path.write_text("modle = 1\n")
    with pytest.raises(VllmdError, match="is there already, and has mistakes"):
        run(tmp_path, "--yes")


def test_nobody_to_ask_is_said_and_a_person_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "models" / "a", 10)
    make(tmp_path / "models" / "b", 1000)
    with pytest.raises(VllmdError, match="this is no terminal: give --yes"):
        run(tmp_path)
    monkeypatch.setattr(init, "_is_interactive", lambda: True)
    result = run(tmp_path, text="2\nmine\n8001\ny\n")
    assert result.exit_code == 0, result.output
    assert "  1  " in result.output
    engine = load(tmp_path / "etc" / "vllmd.toml")[0].engines["main"]
    assert (engine.model, engine.served_names, engine.port) == (
        str(tmp_path / "models" / "a"),
        ("mine",),
        8001,
    )
    (tmp_path / "etc" / "vllmd.toml").unlink()
    assert run(tmp_path, text="\n\n\nn\n").exit_code == 1
    assert not (tmp_path / "etc" / "vllmd.toml").exists()


def test_host_without_a_gpu_is_served_from_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "models" / "m", 10)
    host = attrs.evolve(WELL, gpus=(), memory_bytes=32 * GIB)
    view = HostView(host, UserAccount("root", 0, frozenset()), {"HOME": "/h", "PATH": "/bin"})
    monkeypatch.setattr(init, "look", lambda *_: view)
    result = run(tmp_path, "--yes")
    engine = load(tmp_path / "etc" / "vllmd.toml")[0].engines["main"]
    assert engine.env["VLLM_CPU_KVCACHE_SPACE"] == "4"
    assert engine.gpu_memory_utilization is None
    assert "vllmd engine install --cpu" in result.output


def test_answer_that_is_no_model_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = iter(["nonsense", "Qwen/Qwen3-0.6B"])
    asked: list[str] = []

    def prompt(text: str, **_: object) -> str:
        asked.append(text)
        return next(said)

    monkeypatch.setattr("click.prompt", prompt)
    assert init._ask_model([], view_of(monkeypatch, tmp_path, 8)) == "Qwen/Qwen3-0.6B"
    assert "number" not in asked[0]
    assert "'nonsense' is neither a folder here nor a name on the hub" in capsys.readouterr().err


def view_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gib: float, count: int = 1
) -> HostView:
    gpus = (GpuFacts(int(gib * GIB), 0, int(gib * GIB)),) * count
    env = {"HF_HOME": str(tmp_path / "hf"), "PATH": "/bin", "HOME": str(tmp_path)}
    host = attrs.evolve(WELL, gpus=gpus, memory_bytes=16 * GIB)
    view = HostView(host, UserAccount("root", 0, frozenset()), env)
    monkeypatch.setattr(init, "look", lambda *_: view)
    return view


@pytest.mark.parametrize(
    ("gib", "example"), [(8, "Qwen3-1.7B"), (12, "Qwen3-4B"), (24, "Qwen3-8B"), (80, "Qwen3-32B")]
)
def test_no_model_names_one_that_fits_this_card(
    gib: int, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view_of(monkeypatch, tmp_path, gib)
    with pytest.raises(VllmdError, match=f"such as Qwen/{example}, which fits here"):
        run(tmp_path, "--yes")


def test_without_a_gpu_it_says_what_serves_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view_of(monkeypatch, tmp_path, 8, count=0)
    make(tmp_path / "models" / "m", 10)
    result = run(tmp_path, "--yes")
    assert "warning: no NVIDIA GPU can be read here: vLLM's build for CPUs" in result.output
    assert "next: vllmd engine install --cpu · " in result.output
    shown = json.loads(run(tmp_path / "b", "--yes", "--json").stdout)
    assert shown["warnings"] == [init.NO_GPU]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("m.gguf", None, "is a GGUF file"),
        ("notes.txt", None, "is a file: give the folder"),
        ("empty", {}, "is a folder without config.json"),
        ("adapter", {"adapter_config.json": "{}"}, "is a LoRA adapter: give its base model"),
        ("odd", {"config.json": "{}"}, "names no architectures"),
        ("broken", {"config.json": "{"}, "cannot be read"),
        ("bare", {"config.json": '{"architectures": ["X"]}'}, "without weights"),
        ("no such name", None, "is neither a folder here nor a name on the hub"),
    ],
)
def test_model_that_is_given_is_looked_at(
    name: str, content: dict[str, str] | None, says: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.mkdir()
        for file, text in content.items():
            (path / file).write_text(text)
    elif "." in name:
        path.write_text("")
    given = str(path) if path.exists() else name
    result = run(tmp_path, "--yes", "--model", given)
    assert result.exit_code == 2
    assert says in result.output
    assert not (tmp_path / "etc").exists()


def test_model_that_the_hub_does_not_give_out_is_refused_and_a_hub_that_is_away_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = "the hub has no such model"
    monkeypatch.setattr(init.hub, "problem", lambda *_: answer)  # type: ignore[attr-defined]
    with pytest.raises(VllmdError, match=r"org/m: the hub has no such model; give another --model"):
        run(tmp_path, "--yes", "--model", "org/m")
    answer = "https://hub cannot be reached: no route"
    result = run(tmp_path, "--yes", "--model", "org/m")
    assert result.exit_code == 0
    assert "warning: org/m was not looked up: https://hub cannot be reached" in result.output


def test_commands_that_follow_hold_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "models" / "m", 10)
    monkeypatch.chdir(tmp_path)
    words = ["--config", "v.toml", "--socket", str(tmp_path / "no.sock"), "--yes"]
    result = CliRunner().invoke(init.command, words, catch_exceptions=False)
    assert f"vllmd run --config {tmp_path}/v.toml" in result.output


def test_list_says_what_does_not_fit_and_proposes_what_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "models" / "large", 1000)
    make(tmp_path / "models" / "small", 10)
    sizes = iter([False, True])
    monkeypatch.setattr(init, "fits", lambda _: next(sizes, True))
    monkeypatch.setattr(init, "_is_interactive", lambda: True)
    result = run(tmp_path, text="\n\n\ny\n")
    assert "large  (1000 B; does not fit here)" in result.output
    assert load(tmp_path / "etc" / "vllmd.toml")[0].engines["main"].model.endswith("small")


def half(folder: Path) -> Path:
    """Return a model of which a file is missing that its index names."""
    make(folder, 5000)
    weights = {"weight_map": {"a": "model.safetensors", "b": "model-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(weights))
    return folder


def test_folder_that_is_half_there_is_refused_and_named(tmp_path: Path) -> None:
    result = run(tmp_path, "--yes", "--model", str(half(tmp_path / "m")))
    assert result.exit_code == 2
    assert "is not whole: model-00002.safetensors is missing in" in result.output
    assert not (tmp_path / "etc").exists()


def test_model_that_is_half_in_the_cache_is_taken_and_may_be_downloaded(tmp_path: Path) -> None:
    entry = tmp_path / "hf" / "hub" / "models--org--m"
    half(entry / "snapshots" / "abc")
    (entry / "refs").mkdir()
    (entry / "refs" / "main").write_text("abc")
    result = run(tmp_path, "--yes", "--model", "org/m")
    assert result.exit_code == 0, result.output
    assert "org/m is not whole in the hub's cache" in " ".join(result.output.split())
    engine = load(tmp_path / "etc" / "vllmd.toml")[0].engines["main"]
    assert "HF_HUB_OFFLINE" not in engine.env


def test_model_that_is_not_whole_is_chosen_for_nobody(tmp_path: Path) -> None:
    half(tmp_path / "models" / "large")
    with pytest.raises(VllmdError, match=r"large is not whole \(model-00002"):
        run(tmp_path, "--yes")
    make(tmp_path / "models" / "small", 10)
    assert run(tmp_path, "--yes").exit_code == 0
    assert load(tmp_path / "etc" / "vllmd.toml")[0].engines["main"].served_names == ("small",)


def test_name_without_a_latin_letter_is_served_by_itself(tmp_path: Path) -> None:
    make(tmp_path / "models" / "模型", 10)
    assert run(tmp_path, "--yes").exit_code == 0
    assert load(tmp_path / "etc" / "vllmd.toml")[0].engines["main"].served_names == ("模型",)


@pytest.mark.parametrize("said", ["", " ", "../x", "org/m.", "-a/b", "a/b/c", "/dev/null", "~/m"])
def test_what_is_no_model_is_refused(said: str, tmp_path: Path) -> None:
    result = run(tmp_path, "--yes", f"--model={said}")
    assert result.exit_code == 2
    assert not (tmp_path / "etc").exists()
