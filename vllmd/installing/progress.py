"""A bar for what takes long: on a terminal it moves, elsewhere a line says each step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[str, float], None]]:
    """Show a bar on standard error; it is told what is being done, and the share that is done."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<32}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=1.0)
        said = ""

        def report(step: str, done: float) -> None:
            nonlocal said
            progress.update(task, description=step, completed=done)
            if not console.is_terminal and step != said:
                click.echo(f"{done:4.0%}  {step}", err=True)
                said = step

        yield report
