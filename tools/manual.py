"""Write the manual pages: ``python tools/manual.py FOLDER``; the package is built with them.

One page for `vllmd`, one for each subcommand, and one for the configuration: from the same words as
``--help`` and `etc/vllmd.toml`. Source: man(7), man-pages(7).
"""

import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click

import vllmd
from vllmd.cli.main import cli
from vllmd.config.reference import TABLES, shown

FILES = (
    ("/etc/vllmd/vllmd.toml", "the configuration: see vllmd.toml(5)"),
    ("/etc/vllmd/credentials/", "secrets, one a file: security.md in the documentation"),
    ("/opt/vllmd/engine/", "the engines that 'vllmd engine install' made for the service"),
    ("/var/lib/vllmd/", "what happened (vllmd.db) and the incidents"),
    ("/var/log/vllmd/", "what the engines printed, rotated by vllmd"),
    ("/run/vllmd/control.sock", "where the daemon is asked and told"),
)
DOCS = "/usr/share/doc/vllmd"
EXIT_CODES = re.compile(r"^(\d+) (.+)$")


def pages() -> dict[str, str]:
    """Return all pages by the name of their file."""
    context = click.Context(cli, info_name="vllmd")
    made = {"vllmd.1": _main_page(context), "vllmd.toml.5": _configuration()}
    for name, command in subcommands(context):
        made[f"vllmd-{name}.1"] = _command_page(f"vllmd {name}", command, context)
    return made


def subcommands(context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield what is below a command, by name, without what is hidden."""
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if command is not None and not command.hidden:
                yield name, command


def _main_page(context: click.Context) -> str:
    parts = [
        _title("VLLMD", 1, "vLLM operations"),
        _section("NAME", "vllmd \\- operations daemon for vLLM"),
        _section("SYNOPSIS", f".B vllmd\n{_escape('COMMAND [ARGUMENT ...]')}"),
        _section(
            "DESCRIPTION",
            _escape(
                "vllmd starts vLLM, keeps it serving, says why when it is not, and shows every "
                "engine on one Prometheus page. 'systemctl enable --now vllmd' begins; the engines "
                "are units of their own (vllmd-engine@...) and serve on while vllmd-daemon is "
                "restarted."
            ),
        ),
        _section(
            "COMMANDS",
            "".join(
                _item(f"vllmd-{name}(1)", _escape(command.get_short_help_str(200)))
                for name, command in subcommands(context)
            ),
        ),
        _section("EXIT STATUS", "".join(_item(code, _escape(text)) for code, text in exit_codes())),
        _section("FILES", "".join(_item(path, _escape(text)) for path, text in FILES)),
        _section("SEE ALSO", _escape(f"vllmd.toml(5), systemctl(1), journalctl(1), {DOCS}")),
    ]
    return "".join(parts)


def exit_codes() -> Iterator[tuple[str, str]]:
    """Yield each exit code with its words, as `vllmd --help` has them."""
    epilog = (cli.epilog or "").partition("Completion")[0].replace("Exit codes:", "")
    for each in re.split(r";|\n", epilog):
        if found := EXIT_CODES.match(each.strip()):
            yield found[1], found[2]


def _command_page(path: str, command: click.Command, parent: click.Context) -> str:
    context = click.Context(command, parent=parent, info_name=path.rsplit(" ", 1)[-1])
    page = path.replace(" ", "-")
    summary = command.get_short_help_str(200).rstrip(".")
    parts = [
        _title(page.upper(), 1, "vLLM operations"),
        _section("NAME", f"{_escape(page)} \\- {_escape(summary)}"),
        _section("SYNOPSIS", _synopsis(path, context)),
        _section("DESCRIPTION", _prose(command.help or summary)),
    ]
    if options := _options(context):
        parts.append(_section("OPTIONS", options))
    for name, below in subcommands(context):
        inner = click.Context(below, parent=context, info_name=name)
        words = [_synopsis(f"{path} {name}", inner), ".P", _prose(below.help or "")]
        parts.append(_section(f"{path} {name}".upper(), "\n".join([*words, _options(inner)])))
    parts.append(_section("SEE ALSO", "vllmd(1), vllmd.toml(5)"))
    return "".join(parts)


def _synopsis(path: str, context: click.Context) -> str:
    pieces = " ".join(context.command.collect_usage_pieces(context))
    return f".B {_escape(path)}\n{_escape(pieces)}"


def options(context: click.Context) -> Iterator[tuple[str, str]]:
    """Yield the options of a command that have a help, and that."""
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            yield record


def _options(context: click.Context) -> str:
    return "".join(_item(names, _escape(text)) for names, text in options(context))


def _configuration() -> str:
    parts = [
        _title("VLLMD.TOML", 5, "vLLM operations"),
        _section("NAME", "vllmd.toml \\- configuration of vllmd"),
        _section("SYNOPSIS", ".I /etc/vllmd/vllmd.toml"),
        _section(
            "DESCRIPTION",
            _escape(
                "TOML. Each engine is a table of its own, [engines.NAME]; all keys but 'model' "
                "have defaults. 'vllmd check' says what is wrong and shows the commands that "
                "follow; 'vllmd reload' (or systemctl reload vllmd-daemon) reads the file again "
                "while the engines serve. A file that cannot be used changes nothing."
            ),
        ),
    ]
    for title, model in TABLES:
        items = "".join(
            _item(f"{field.name} = {_default(field)}", _escape(field.metadata["help"]))
            for field in attrs.fields(model)
            if "rule" in field.metadata
        )
        parts.append(_section(title.removeprefix("# "), items))
    parts.append(_section("SEE ALSO", "vllmd(1), vllmd-check(1), vllmd-init(1)"))
    return "".join(parts)


def _default(field: "attrs.Attribute[object]") -> str:
    return str(field.metadata["example"] or shown(field.default))


def _title(name: str, section: int, manual: str) -> str:
    day = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC)
    version = f"vllmd {vllmd.__version__}"
    return f'.TH "{name}" {section} {day:%Y-%m-%d} "{version}" "{manual}"\n.nh\n.ad l\n'


def _section(title: str, text: str) -> str:
    return f'.SH "{_escape(title)}"\n{text.rstrip()}\n'


def _item(term: str, text: str) -> str:
    return f".TP\n.B {_escape(term)}\n{text or chr(92) + '&'}\n"


def paragraphs(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the paragraphs of a help, and whether one stands as it is: click does not wrap it."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if paragraph.startswith("\b"):
            yield paragraph.removeprefix("\b").strip("\n"), True
        else:
            yield " ".join(paragraph.split()), False


def _prose(text: str) -> str:
    made = (
        f".nf\n{_escape(words)}\n.fi" if as_it_is else _escape(words)
        for words, as_it_is in paragraphs(text)
    )
    return "\n.P\n".join(made)


def _escape(text: str) -> str:
    """Return text as it stands: no line of it is a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("·", ";")
    return re.sub(r"(?m)^([.'])", r"\\&\1", text)


def main(folder: Path) -> None:
    """Write them all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
