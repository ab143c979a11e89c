"""`vllmd gpu`: whose the memory is, would an engine start again, is the GPU well."""

import time
from typing import Any

import click

from vllmd.cli import gpu_bar, terminal
from vllmd.cli.options import CommandGroup, json_option, socket_option
from vllmd.cli.table import format_table, join
from vllmd.control.client import ControlClient
from vllmd.util.units import format_bytes, format_duration, parse_duration

_RECOVERY = {
    1: "reset the GPU",
    2: "reboot the host",
    3: "drain the peers",
    4: "drain, then reset the GPU",
    5: "recover the IMEX domain",
    6: "reset its bus",
    7: "reboot the system",
}
_DISABLED = {
    "crashed": "NVML crashed twice in that call",
    "hung": "that call hung twice",
    "found": "NVML crashes as long as it is asked for",
}
_CALM_REASONS = ("gpu_idle", "application_clocks", "display_clocks")


@click.group(cls=CommandGroup, invoke_without_command=True)
@socket_option
@json_option
@click.pass_context
def command(ctx: click.Context, client: ControlClient, as_json: bool) -> None:
    """Show GPUs: memory by process, the margin for a restart, health.

    The margin is what would be free beyond what an engine needs if it started again now, by vLLM's
    own rule; below 0 it would not start.
    """
    if ctx.invoked_subcommand is not None:
        return
    shown = client.gpus()
    if as_json:
        terminal.echo_json(shown, indent=2)
        return
    for line in report(shown, time.time()):
        terminal.echo(line)


@command.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@socket_option
@json_option
def reap(client: ControlClient, as_json: bool, yes: bool) -> None:
    """Kill orphans: processes of ended engines that still hold GPU memory.

    They are shown first. Processes of others are never killed.
    """
    orphans = [
        (gpu, process)
        for gpu in client.gpus()["gpus"]
        for process in gpu["processes"]
        if process["owner"] == "orphan"
    ]
    if not orphans:
        if as_json:
            terminal.echo_json({"killed": []})
        else:
            terminal.echo("no orphan of ours holds GPU memory")
        return
    if not as_json:
        rows = [_process(gpu, process) for gpu, process in orphans]
        for cells in format_table(_PROCESS_HEADER, rows):
            terminal.echo(join(cells))
    if not yes:
        click.confirm("kill them", abort=True, err=True)
    killed = client.reap()
    if as_json:
        terminal.echo_json({"killed": killed})
        return
    for name in killed:
        terminal.echo(f"killed: {name}")


@command.command()
@click.option("--for", "seconds", default="5m", show_default=True, help="How long, such as 90s.")
@click.option("--resume", is_flag=True, help="Take the GPUs again now.")
@socket_option
def release(client: ControlClient, seconds: str, resume: bool) -> None:
    """Release the GPUs, so that one can be reset (nvidia-smi --gpu-reset).

    Readings stop meanwhile. Engines have to be stopped too: 'vllmd stop ENGINE'.
    """
    try:
        duration_s = 0.0 if resume else parse_duration(seconds)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from None
    client.release(duration_s)
    terminal.echo(
        "the GPUs are read again"
        if resume
        else f"let go of for {format_duration(duration_s)}; 'vllmd gpu release --resume' ends it"
    )


def report(shown: dict[str, Any], now: float) -> list[str]:
    """Return the lines of what is known; `now` is in seconds since the epoch."""
    lines = []
    if shown["source"] == "demo":
        lines.append(terminal.style("demonstration: these GPUs do not exist", fg="yellow"))
    if shown["driver_mismatch"]:
        lines.append(terminal.style(f"driver changed: {shown['driver_mismatch']}", fg="red"))
    if problem := shown["problem"]:
        lines.append(
            terminal.style(f"no readings ({problem['reason']}): {problem['text']}", fg="red")
        )
    for gpu in shown["gpus"]:
        lines += _gpu(gpu, now)
    lines += _disabled(shown)
    for engine, size in shown["growth_bytes"].items():
        sign = "+" if size >= 0 else "-"
        lines.append(f"{engine}: {sign}{format_bytes(abs(size))} beyond its largest batch")
    rows = [_process(gpu, p) for gpu in shown["gpus"] for p in gpu["processes"]]
    if rows:
        lines.append("")
        lines += [join(cells) for cells in format_table(_PROCESS_HEADER, rows)]
    return lines


def _disabled(shown: dict[str, Any]) -> list[str]:
    """Name the figures that are not read any more."""
    names = {gpu["uuid"]: f"GPU {gpu['gpu']}" for gpu in shown["gpus"]}
    return [
        terminal.style(
            f"not read any more: {each['row']} of {names.get(each['uuid'], 'all GPUs')}; "
            f"{_DISABLED[each['reason']]}",
            fg="yellow",
        )
        for each in shown["reader"].get("disabled_rows", ())
    ]


def _gpu(gpu: dict[str, Any], now: float) -> list[str]:
    title = f"GPU {gpu['gpu']}  {gpu['name']}"
    if gpu["lost"]:
        why = gpu["lost"].replace("_", " ")
        if gpu["lost_since"] is not None:
            why += f" for {format_duration(now - gpu['lost_since'])}"
        return [terminal.style(f"{title}  cannot be read: {why} ({gpu['uuid']})", fg="red")]
    values = gpu["values"]
    shared = ["shares the host's memory"] if gpu.get("unified") else []
    lines = [join([title, *shared, *_activity(values)])]
    if gpu["owners"]:
        lines += _memory(gpu["owners"])
    for engine, margin in gpu["restart_margin_bytes"].items():
        fits = margin >= 0
        text = (
            f"{engine} would start again, with {format_bytes(margin)} to spare"
            if fits
            else f"{engine} would NOT start again: {format_bytes(-margin)} too little"
        )
        lines.append(terminal.style(f"  {text}", fg=None if fits else "red"))
    problems = _problems(gpu, now)
    lines += [terminal.style(f"  {problem}", fg="red") for problem in problems]
    return lines


def _memory(owners: list[dict[str, Any]]) -> list[str]:
    """Return the bar, and beside it, or below where there is no room, whose the memory is."""
    words, columns = gpu_bar.in_words(owners), terminal.width()
    beside = f"  {gpu_bar.bar(owners)}  {words}"
    if columns is None or gpu_bar.BAR + len(words) + 4 <= columns:
        return [beside]
    return [
        f"  {gpu_bar.bar(owners, min(gpu_bar.BAR, columns - 2))}",
        *terminal.wrap(words, first="  ", rest="  "),
    ]


def _activity(values: dict[str, float]) -> list[str]:
    found = []
    if "busy_ratio" in values:
        found.append(f"busy {values['busy_ratio']:.0%}")
    if "power_watts" in values:
        limit = values.get("power_limit_watts")
        of = f"/{limit:.0f}" if limit else ""
        found.append(f"{values['power_watts']:.0f}{of} W")
    if "temperature_celsius:gpu" in values:
        found.append(f"{values['temperature_celsius:gpu']:.0f} °C")
    active = [
        key.partition(":")[2]
        for key, value in values.items()
        if key.startswith("clock_event_active:") and value
    ]
    held = [reason for reason in active if reason not in _CALM_REASONS]
    return [*found, f"clocks held by {', '.join(held)}"] if held else found


def _problems(gpu: dict[str, Any], now: float) -> list[str]:
    values, found = gpu["values"], []
    action = values.get("recovery_action")
    if action:
        found.append(f"the driver asks to {_RECOVERY.get(int(action), f'do {action:g}')}")
    if values.get("row_remap_failed"):
        found.append("a row of its memory could not be replaced: exchange the GPU")
    if values.get("row_remap_pending"):
        found.append("rows of its memory are to be replaced: reset the GPU when it is idle")
    if count := values.get("ecc_errors_total:uncorrected"):
        found.append(f"{count:g} ECC errors that could not be corrected: reset the GPU")
    for seen in gpu["xids"]:
        ago = format_duration(now - seen["last_at"])
        needs = "" if seen["action"] == "none" else f"; it needs: {seen['action']}"
        often = "" if seen["count"] == 1 else f"{seen['count']} times, "
        found.append(f"Xid {seen['xid']} ({often}{ago} ago): {seen['text']}{needs}")
    return found


_PROCESS_HEADER = ["GPU", "PID", "OWNER", "USER", "MEMORY", "PROCESS"]


def _process(gpu: dict[str, Any], process: dict[str, Any]) -> list[str]:
    owner = process["owner"]
    if process["engine"]:
        before = {"orphan": "orphan ", "weights": "weights of "}.get(owner, "")
        owner = f"{before}{process['engine']}"
    size = process["bytes"]
    return [
        gpu["gpu"],
        str(process["pid"]),
        owner,
        process["user"] or "-",
        "not known" if size is None else format_bytes(size),
        process["name"] or "(cannot be seen from here)",
    ]
