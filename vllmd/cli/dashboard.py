"""`vllmd dashboard`: Grafana's dashboards, as files or put into a Grafana."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from vllmd.cli import terminal
from vllmd.cli.options import CommandGroup, json_option
from vllmd.cli.writing import output_option, write_all
from vllmd.errors import VllmdError
from vllmd.monitoring.dashboards import DASHBOARDS
from vllmd.monitoring.written import dashboard_files
from vllmd.util.redact import Redactor

TIMEOUT_S = 30.0
FOLDER = "vllmd"


@click.group(cls=CommandGroup)
def command() -> None:
    """Export vllmd's dashboards, or install them in Grafana (10.4 to 13)."""


@command.command()
@click.argument("name", required=False, type=click.Choice(list(DASHBOARDS)))
@output_option
@json_option
def export(name: str | None, output: str | None, as_json: bool) -> None:
    """Write the dashboards' JSON to a folder, or one of them to standard output."""
    files = dashboard_files()
    chosen = {f"{name}.json": files[f"{name}.json"]} if name else files
    if output is not None:
        write_all(output, chosen, as_json=as_json)
    elif name is None:
        names = ", ".join(DASHBOARDS)
        raise click.UsageError(f"name one of {names}, or give --output a folder for all of them")
    else:
        terminal.echo_text(chosen[f"{name}.json"], nl=False)


@command.command()
@click.option(
    "--grafana", "url", required=True, metavar="URL", help="Such as https://grafana.example.org."
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the token of a service account that may write dashboards; else GRAFANA_TOKEN "
    "is taken from the environment.",
)
@click.option(
    "--folder", default=FOLDER, show_default=True, help="Grafana's folder; it is made if need be."
)
@json_option
def install(url: str, token_file: Path | None, folder: str, as_json: bool) -> None:
    """Put all dashboards into a Grafana. What is there of the same name is replaced.

    The token never stands in the command line, where every user of the host could read it.
    """
    token = _token(token_file)
    api = _Api(url, token)
    uid = api.folder(folder)
    installed = []
    with click.progressbar(dashboard_files().items(), label="dashboards", hidden=as_json) as files:
        for name, text in files:
            answer = api.call("POST", "/api/dashboards/db", _body(text, uid))
            installed.append({"name": name.removesuffix(".json"), "url": _address(url, answer)})
    if as_json:
        terminal.echo_json(installed, indent=2)
    else:
        for each in installed:
            terminal.echo(f"{each['name']:18} {each['url']}")


def _token(token_file: Path | None) -> str:
    """Return the token, without the end of its line.

    Raises: VllmdError: there is none.
    """
    try:
        token = token_file.read_text() if token_file else os.environ.get("GRAFANA_TOKEN", "")
    except OSError as error:
        raise VllmdError(f"cannot read {token_file}: {error.strerror}") from None
    if not token.strip():
        where = str(token_file) if token_file else "neither --token-file nor GRAFANA_TOKEN is set"
        raise VllmdError(
            f"no token for Grafana: {where}{' is empty' if token_file else ''}; make a service "
            "account there with the role Editor, and put its token into a file"
        )
    return token.strip()


def _body(text: str, folder: str) -> dict[str, object]:
    return {
        "dashboard": json.loads(text),
        "folderUid": folder,
        "overwrite": True,
        "message": "vllmd dashboard install",
    }


def _address(url: str, answer: Mapping[str, object]) -> str:
    return f"{url.rstrip('/')}/{str(answer.get('url', '')).lstrip('/')}"


class _Api:
    """Grafana's HTTP API. Source: its documentation of folders and dashboards, 10.4 to 13."""

    def __init__(self, url: str, token: str) -> None:
        import httpx

        self._url = url.rstrip("/")
        self._http = httpx
        self._redactor = Redactor([token])
        self._headers = {"authorization": f"Bearer {token}", "accept": "application/json"}

    def folder(self, title: str) -> str:
        """Return the uid of a folder, made if there is none of that title.

        Raises: VllmdError: Grafana does not answer, or refuses.
        """
        for each in self.call("GET", "/api/folders?limit=1000"):
            if each["title"] == title:
                return str(each["uid"])
        return str(self.call("POST", "/api/folders", {"title": title})["uid"])

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Ask Grafana.

        Raises: VllmdError: it does not answer, or refuses.
        """
        try:
            response = self._http.request(
                method, self._url + path, json=body, headers=self._headers, timeout=TIMEOUT_S
            )
        except (self._http.HTTPError, self._http.InvalidURL) as error:
            raise VllmdError(
                f"{self._url} does not answer ({error}); is that Grafana's address?"
            ) from None
        if response.status_code >= 300:
            raise VllmdError(self._refusal(response.status_code, response.text))
        try:
            return response.json()
        except ValueError:
            raise VllmdError(f"{self._url} answers, but not as Grafana does") from None

    def _refusal(self, status: int, text: str) -> str:
        advice = {
            401: "the token is wrong or has expired",
            403: "the token's service account may not write dashboards: give it the role Editor",
            404: "is that Grafana's address?",
        }.get(status, "its log says more")
        words = self._redactor.text(text[:300])
        return f"{self._url} refused with {status}: {words}; {advice}"
