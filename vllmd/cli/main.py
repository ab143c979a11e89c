"""`vllmd`: finds the subcommand, imports only that, and turns errors into exit codes."""

import importlib
import keyword
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

import vllmd
from vllmd.cli import terminal
from vllmd.errors import NotPermittedError, VllmdError

COMMANDS = {
    "run": "Run the daemon in the foreground.",
    "check": "Check a configuration and show the exact commands.",
    "doctor": "Find what will fail before an engine is started.",
    "init": "Write a first configuration, with safe values for this machine.",
    "import": "Import a launch script, a systemd unit or a command line.",
    "pull": "Download a model before an engine needs it.",
    "engine": "Install vLLM, and switch between its versions.",
    "status": "Show the state of engines and GPUs.",
    "top": "Watch and control engines and GPUs on a full screen.",
    "why": "Explain why an engine failed, and what to do next.",
    "events": "Show the events of the daemon and its engines.",
    "logs": "Show the output of engines.",
    "gpu": "Show GPUs: memory by process, room for a restart, health.",
    "ask": "Send a prompt to an engine, and show the latency.",
    "cost": "Show the cost of serving, and compare it with APIs.",
    "advise": "Say which settings to change, from what engines have shown.",
    "traces": "Show the slowest requests.",
    "runbook": "Show the runbook of an alert.",
    "rules": "Export alerts for Prometheus or Grafana, with your thresholds.",
    "dashboard": "Export dashboards, or install them in Grafana.",
    "start": "Start an engine.",
    "stop": "Stop an engine until it is started, or the next boot.",
    "restart": "Stop an engine and start it again.",
    "sleep": "Put an engine to sleep: it gives its GPU memory back.",
    "wake": "Wake an engine that sleeps.",
    "probe": "Look whether an engine's answers are right.",
    "lora": "Add, remove and show LoRA adapters while an engine serves.",
    "reload": "Read the configuration again.",
    "fleet": "Look at replicas on several hosts, and restart them one by one.",
    "completion": "Set up shell completion.",
    "bundle": "Collect what a bug report needs, without private data.",
}
"""Each is `command` in the module of its name; the help is here so that listing imports none."""

ALIASES = {
    "ps": ("status",),
    "ls": ("status",),
    "list": ("status",),
    "version": ("--version",),
}
"""Words that people type, and what they stand for; `help` is made of what follows it."""
ACTING = ("run", "start", "stop", "restart", "sleep", "wake", "probe", "reload")
"""Never guessed: who mistypes a command that only looks must not be led to one of these."""
_MEANT = {
    "up": "'vllmd start ENGINE' starts an engine, 'vllmd run' the daemon",
    "down": "'vllmd stop ENGINE' stops an engine, 'systemctl stop vllmd' the daemon",
}

EPILOG = """\b
Exit codes: 0 done; 1 failed; 2 wrong command line; 65 held
66 no such engine; 69 no daemon answers; 70 a fault of vllmd
73 a daemon already runs; 75 not done in time; 77 not permitted
78 wrong configuration; 130 interrupted

Completion comes with the package; else: vllmd completion install
"""


def module_of(name: str) -> str:
    """Return the module of a subcommand; `import` is no name for one."""
    return f"vllmd.cli.{name}_" if keyword.iskeyword(name) else f"vllmd.cli.{name}"


class _LazyGroup(click.Group):
    """Imports a subcommand when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(module_of(cmd_name)).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

        with formatter.section("Other names"):
            named = {"ps, ls, list": "status", "help": "--help"}
            formatter.write_dl([(alias, f"vllmd {name}") for alias, name in named.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            args = ["status", "--hints"]
        elif args and args[0] not in COMMANDS:
            if args[0] == "help":
                args = [*args[1:], "--help"]
            else:
                args = [*ALIASES.get(args[0], args[:1]), *args[1:]]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no such command {args[0]!r}; {_meant(args[0])}")
        return super().resolve_command(ctx, args)


def _meant(word: str) -> str:
    """Say which command a word may stand for: one that it begins, else one that looks like it."""
    from vllmd.config.rules import suggest

    if word in _MEANT:
        return _MEANT[word]
    known = (*COMMANDS, *ALIASES)
    begun = [name for name in known if name.startswith(word) and name not in ACTING]
    hint = f'did you mean "{begun[0]}"?' if begun else suggest(word, known)
    return hint if hint and not any(f'"{name}"' in hint for name in ACTING) else "see vllmd --help"


@click.group(
    cls=_LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(vllmd.__version__, "-V", "--version", prog_name="vllmd")
def cli() -> None:
    """Run vLLM: start it, keep it serving, and say why when it is not.

    Alone it shows the engines, and what to do next. ENGINE may be left out where there is one.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the code of what went wrong."""
    _have_standard_files()
    if list(sys.argv[1:] if args is None else args)[:1] == ["run"]:
        if os.getpid() == 1:
            _become_first_process()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it asks for a reload, as soon as one can be
    try:
        cli.main(args=args, prog_name="vllmd", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        terminal.show_error(error)
        sys.exit(error.exit_code)
    except VllmdError as error:
        terminal.echo_error(f"vllmd: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:  # a file that this user may not use: no fault of the program
        terminal.echo_error(f"vllmd: {_in_words(error)}")
        denied = isinstance(error, PermissionError)
        sys.exit(NotPermittedError.exit_code if denied else VllmdError.exit_code)
    sys.exit(0)


def _become_first_process() -> None:
    """Go on as the first process of a container, which runs this same command below it."""
    from vllmd.container import __main__ as program

    own = [sys.executable, "-I", "-S", "-B", str(program.__file__)]
    os.execv(own[0], [*own, sys.executable, *sys.orig_argv[1:]])


def _in_words(error: OSError) -> str:
    """Say which file cannot be used, and why."""
    reason = error.strerror or str(error) or type(error).__name__
    named = " and ".join(
        str(path) for path in (error.filename, error.filename2) if path is not None
    )
    said = f"{named}: {reason}" if named else reason
    hint = "; be root, or the user that it belongs to" if isinstance(error, PermissionError) else ""
    return f"{said}{hint}"


def _have_standard_files() -> None:
    """Open /dev/null for what was closed (`2>&-`): a file or a socket would get its number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(opened, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
