"""`vllmd init`: a first configuration, by asking the machine and, on a terminal, the person."""

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import click

from vllmd.cli import terminal
from vllmd.cli.examining import HostView, is_offline, look
from vllmd.cli.options import config_option, json_option, socket_option
from vllmd.cli.writing import write_whole
from vllmd.config import CONFIG_PATH
from vllmd.config import command as commands
from vllmd.config.load import MAX_BYTES, parse
from vllmd.config.model import DEFAULT_PORT, NAME_EXPECTS, NAME_PATTERN, Config
from vllmd.config.problem import InvalidConfigError
from vllmd.control.client import ControlClient
from vllmd.doctor import hub, models, proposal
from vllmd.doctor.case import Model, read_model
from vllmd.doctor.models import FoundModel
from vllmd.doctor.proposal import Setting, Subject, as_tables, fits, propose
from vllmd.doctor.weights import loaded_bytes
from vllmd.engine.model_files.base_model import HUB_NAME
from vllmd.errors import VllmdError
from vllmd.importing.writing import value
from vllmd.shim.files import read_regular
from vllmd.util.units import format_bytes

UNIT = Path("/usr/lib/systemd/system/vllmd.service")
KEPT = ".before-init"
ON_A_MAC = (
    "vllmd runs on Linux, as vLLM's builds for GPUs do: on Apple Silicon, llama.cpp or Ollama use "
    "the GPU"
)
NO_GPU = (
    "no NVIDIA GPU can be read here: vLLM's build for CPUs serves small models, slowly; on another "
    "maker's GPU take llama.cpp or Ollama, and in a container pass the GPU on (--gpus all)"
)


HALF = (
    "{0} is not whole in the hub's cache ({1}): the first start downloads the rest, or "
    "'vllmd pull {0}' now"
)


@attrs.frozen
class Choice:
    """What was chosen, by a person or for one."""

    model: str
    served: str
    port: int


@click.command()
@config_option
@click.option("--model", help="A folder, or a name on the hub; else one is chosen from this host.")
@click.option(
    "--models",
    "folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder to look for models in, beside the hub's cache; repeatable.",
)
@click.option("--name", default="main", show_default=True, help="Name of the engine.")
@click.option("--served-model-name", "served", help="Model name that requests use.")
@click.option("--port", type=click.IntRange(1, 65535), help="Of the OpenAI API.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing: take what is safe.")
@socket_option
@json_option
def command(
    client: ControlClient,
    config_path: Path,
    model: str | None,
    folders: tuple[Path, ...],
    name: str,
    served: str | None,
    port: int | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Write a first configuration: one engine, with numbers that are safe on this machine.

    Looks at the GPUs, their free memory, and the models that are here; says why for each number. A
    file that has engines already is not touched.
    """
    if sys.platform == "darwin":
        raise VllmdError(ON_A_MAC)
    if not re.fullmatch(NAME_PATTERN, name):
        raise click.BadParameter(f"--name {name!r}: it takes {NAME_EXPECTS}")
    ask = not yes and not as_json
    if ask and not _is_interactive():
        raise VllmdError("this is no terminal: give --yes to take what is safe")
    config_path = config_path.absolute()  # the commands that are named hold in every folder
    _look_at_old(config_path)
    view = look(Config(), client)
    warnings = [] if view.host.gpus else [NO_GPU]
    if ask and warnings:
        _warn(NO_GPU)
    chosen = _choose(view, folders, model, served, port, ask=ask)
    read = read_model(chosen.model, view.inherited)
    lacks = _lacks(read)
    if lacks:
        warnings.append(HALF.format(chosen.model, lacks))
    elif read.folder is None and not is_offline(view.inherited):
        warnings += _ask_hub(chosen.model, view)
        read = attrs.evolve(read, config=hub.config_of(chosen.model, view.inherited))
    subject = subject_of(read, view)
    if not fits(subject):
        warnings.append(f"{chosen.model} does not fit on this machine: 'vllmd doctor' has the sum")
    settings = list(propose(subject))
    text = write(name, chosen, settings, local=read.folder is not None and not lacks)
    parse(text, str(config_path))
    if ask:
        terminal.echo_text(f"\n{text}")
        click.confirm(f"Write this to {config_path}?", default=True, abort=True)
    _store(config_path, text)
    if as_json:
        listed = [attrs.asdict(each) for each in settings]
        said = {"path": str(config_path), "toml": text, "settings": listed, "warnings": warnings}
        terminal.echo_json(said)
        return
    for warning in warnings[ask and NO_GPU in warnings :]:
        _warn(warning)
    terminal.echo(f"wrote {config_path}: {chosen.model} as {chosen.served!r} on port {chosen.port}")
    for each in settings:
        terminal.echo(f"  {each.key} = {value(each.value)}: {each.reason}")
    terminal.echo(f"next: {' · '.join(_next(config_path, view))}")


def _warn(text: str) -> None:
    for line in terminal.wrap(f"warning: {text}", rest="  "):
        terminal.echo(terminal.style(line, fg="yellow"), err=True)


def _lacks(read: Model) -> str | None:
    """Say what a model that is here lacks; None if it is whole, or not here at all."""
    if read.folder is None:
        return None
    return next(iter(read.problems), None) or models.problem(read.folder)


def _ask_hub(model: str, view: HostView) -> list[str]:
    """Return what stands in the way of a download for now.

    Raises: VllmdError: the hub has no such model, or does not give it out.
    """
    problem = hub.problem(model, view.inherited)
    if problem is None:
        return []
    if hub.UNREACHABLE in problem:
        return [f"{model} was not looked up: {problem}"]
    raise VllmdError(
        f"{model}: {problem}; give another --model, or a token: HF_TOKEN, or a file "
        "/etc/vllmd/credentials/hf_token"
    )


def subject_of(model: Model, view: HostView) -> Subject:
    """Return what a proposal needs to know of a model and a host."""
    gpus = view.host.gpus or ()
    return Subject(
        loaded_bytes(model.weights, model.config),
        model.architecture,
        tuple(gpu.cuda for gpu in gpus),
        tuple(gpu.free for gpu in gpus),
        view.host.memory_bytes,
        unified=any(gpu.unified for gpu in gpus),
    )


def _is_interactive() -> bool:
    return sys.stdin.isatty()


def _choose(
    view: HostView,
    folders: tuple[Path, ...],
    model: str | None,
    served: str | None,
    port: int | None,
    *,
    ask: bool,
) -> Choice:
    if model is None:
        found = models.find(view.inherited, (*models.USUAL, *folders))
        model = _ask_model(found, view) if ask else _best(found, view)
    elif problem := _no_model(model):
        raise click.BadParameter(f"--model {model!r} {problem}")
    if Path(model).is_dir():
        model = str(Path(model).absolute())
    own = re.sub(r"[^a-z0-9._-]+", "-", Path(model).name.lower()).strip("-")
    served = served or own or Path(model).name
    port = port or DEFAULT_PORT
    if ask:
        served = click.prompt("The name that requests give as model", default=served)
        port = click.prompt("Port of the API", default=port, type=click.IntRange(1, 65535))
    return Choice(model, served, port)


def _no_model(said: str) -> str | None:
    """Say why what was given is neither a model here nor a name on the hub; None if it is one."""
    if said.strip() and Path(said).exists():
        problem = models.problem(Path(said)) or _not_whole(said)
        return problem and f"is {problem}"
    named = "/" in said and HUB_NAME.fullmatch(said)
    return None if named else "is neither a folder here nor a name on the hub"


def _not_whole(folder: str) -> str | None:
    """Say which of a model's files are missing or cut short; None if none is."""
    found = read_model(folder, {}).problems
    more = f", and {len(found) - 1} more like it" if len(found) > 1 else ""
    return f"not whole: {found[0]}{more}: copy or download it again" if found else None


def _ask_model(found: list[FoundModel], view: HostView) -> str:
    """Ask which; the default is the largest that fits."""
    read = [read_model(each.name, view.inherited) for each in found]
    fitting = [not each.problems and fits(subject_of(each, view)) for each in read]
    for number, (each, own, fit) in enumerate(zip(found, read, fitting, strict=True), 1):
        less = "; is not whole" if own.problems else "" if fit else "; does not fit here"
        terminal.echo(f"{number:3}  {each.name}  ({format_bytes(each.bytes)}{less})")
    listed = "a number of these, " if found else ""
    example = proposal.example(subject_of(read_model("", view.inherited), view))
    while True:
        said: str = click.prompt(
            f"The model: {listed}a folder, or a name on the hub, such as {example}",
            default=str(fitting.index(True) + 1) if True in fitting else None,
        )
        if said.isdigit() and 1 <= int(said) <= len(found):
            return found[int(said) - 1].name
        if (problem := _no_model(said)) is None:
            return said
        terminal.echo(f"{said!r} {problem}", err=True)


def _best(found: list[FoundModel], view: HostView) -> str:
    """Return the largest model that can be served."""
    if not found:
        example = proposal.example(subject_of(read_model("", view.inherited), view))
        raise VllmdError(
            "no model was found in the hub's cache or in "
            f"{', '.join(map(str, models.USUAL))}: give --model, such as {example}, which fits "
            "here, or a folder with --models"
        )
    broken = []
    for each in found:
        read = read_model(each.name, view.inherited)
        if read.problems:
            broken.append(f"{each.name} is not whole ({read.problems[0]})")
        elif fits(subject_of(read, view)):
            return each.name
    also = f"; {'; '.join(broken)}" if broken else ""
    raise VllmdError(
        f"none of the {len(found)} models here fits on this machine (the smallest: "
        f"{found[-1].name}){also}; give --model to take one all the same"
    )


def write(name: str, chosen: Choice, settings: list[Setting], *, local: bool) -> str:
    """Return the file: each number with its reason above it."""
    tables = as_tables(iter(settings))
    if local:
        reason = "The model is on this host: nothing is asked of the network."
        tables["env"].append(Setting("env", "HF_HUB_OFFLINE", "1", reason))
    lines = [
        "# Made by 'vllmd init'; all keys: /usr/share/doc/vllmd/examples/vllmd.toml.",
        "# 'vllmd check' shows the command, 'vllmd doctor' what may fail.",
        f"[engines.{name}]",
        f"model = {value(chosen.model)}",
        f"served_model_name = {value(chosen.served)}",
        f"port = {chosen.port}",
    ]
    for title, entries in tables.items():
        if title and entries:
            lines += ["", f"[engines.{name}.{title}]"]
        for each in entries:
            lines += [f"# {each.reason}", f"{each.key} = {value(each.value)}"]
    return "\n".join(lines) + "\n"


def _look_at_old(path: Path) -> None:
    """Refuse a file with engines, and one that cannot be read as a configuration.

    The package's own has none; it is kept beside the new one.
    """
    try:
        source = read_regular(path, MAX_BYTES).decode()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise VllmdError(f"cannot read {path}: {error}") from None
    try:
        engines: Mapping[str, Any] = parse(source, str(path))[0].engines
    except InvalidConfigError as error:
        raise VllmdError(
            f"{path} is there already, and has mistakes:\n{error}\nfix it, or give another file "
            "with --config"
        ) from None
    if engines:
        raise VllmdError(
            f"{path} has {', '.join(engines)} already: nothing was changed; give another file with "
            "--config, or add to it by hand"
        )


def _store(path: Path, text: str) -> None:
    try:
        if path.exists():
            path.with_name(path.name + KEPT).write_bytes(path.read_bytes())
        write_whole(path, text, 0o644)
    except OSError as error:
        raise VllmdError(
            f"cannot write {path}: {error.strerror}; give a file of your own with --config"
        ) from None


def _next(path: Path, view: HostView) -> list[str]:
    """Say what is left to do until it serves."""
    config, _ = parse(path.read_text(), str(path))
    missing = any(not built.found for built in commands.build_all(config).values())
    install = "vllmd engine install" + (" --cpu" if view.host.gpus == () else "")
    steps = [install] if missing else []
    usual = path == CONFIG_PATH
    given = "" if usual else f" --config {shlex.quote(str(path))}"
    steps.append(f"vllmd doctor{given}")
    packaged = UNIT.exists() and usual
    steps.append("systemctl enable --now vllmd" if packaged else f"vllmd run{given}")
    return steps
