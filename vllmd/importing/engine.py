"""An engine's table from a launch, with the reason for each difference. Pure."""

import json
import re
from typing import Any

from vllmd.config.credentials import ENVIRONMENT
from vllmd.config.flags import OWN_KEYS
from vllmd.importing.arguments import (
    GivenFlag,
    flags_of,
    last_of,
    models_of,
    read_value,
)
from vllmd.importing.known_flags import NAMES, REPEATED
from vllmd.importing.known_variables import GONE, is_of_vllm
from vllmd.importing.launch import Launch
from vllmd.importing.leftovers import is_left, refuse_unknowns, texts_in
from vllmd.importing.old_values import renewed
from vllmd.importing.paths import HostPaths, cache_of
from vllmd.importing.placing import set_address, set_gpus
from vllmd.importing.surroundings import Notes, Surroundings, join
from vllmd.importing.table import EngineTable, of_secret
from vllmd.importing.unknown import as_written, is_unknown, mark, unknowns
from vllmd.importing.variables import OF_HF_TOKEN, OF_TOKEN_FILE
from vllmd.installing.plan import VERSION
from vllmd.installing.removed_flags import what_to_do
from vllmd.util.redact import is_secret, secrets_in_value

_DROPPED = {
    "uds": "vllmd reaches an engine by host and port, so it listens for this host alone",
    "ssl-keyfile-password": "every user of the host can read arguments: take the password off the "
    "key (openssl pkey -in KEY -out NEW)",
}
_OF_CONTAINERS = frozenset(
    {"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "AMD_VISIBLE_DEVICES", "HOME", "PATH"}
)


def table_of(launch: Launch, around: Surroundings, notes: Notes) -> EngineTable:
    """Return the table of a launch; what keeps it from being one is among the notes' problems."""
    return _Taking(launch, HostPaths(launch, around, notes), notes).table()


class _Taking:
    """Takes one launch over."""

    def __init__(self, launch: Launch, paths: HostPaths, notes: Notes) -> None:
        self._launch, self._paths, self._notes = launch, paths, notes
        self._made = EngineTable(remarks=list(launch.remarks), reasons=dict(launch.reasons))

    def table(self) -> EngineTable:
        """Return the table."""
        made, launch = self._made, self._launch
        given = flags_of(launch.arguments)
        self._variables()
        if launch.container is None and launch.program != ("vllm",):
            program = list(launch.program)
            made.keys["executable"] = program[0] if len(program) == 1 else program
        for each in given:
            self._take(each)
        if both := models_of(launch.arguments):  # Source: vllm/utils/argparse_utils.py
            word, flag = map(as_written, both)
            self._notes.refuse(
                launch.place,
                f"the model is {word}, and --model {flag}: vLLM refuses a second one: keep one",
            )
        if "model" not in made.keys:
            self._notes.refuse(
                launch.place, "the command names no model: write it after 'serve', or as --model"
            )
        if not launch.autostart:
            made.keys["autostart"] = False
            made.remarks.append(
                "autostart = false: nothing starts it by itself, and so it is here ('vllmd start')"
            )
        set_address(made, launch)
        self._cache()
        set_gpus(made, launch, self._notes)
        made.remarks += self._paths.unused_mounts([made.keys, made.flags, made.lora, made.env])
        self._refuse_unknowns()
        return made

    def _take(self, given: GivenFlag) -> None:
        made, name = self._made, given.name
        if re.search(r"\s", name) and not is_unknown(name):
            self._notes.refuse(
                self._launch.place,
                f"'--{name}' is one word, which vLLM takes for one flag: part its words",
            )
        elif not name:
            made.remarks.append(f"left out: {given.values[0]!r} belongs to no flag")
        elif name == "api-key":
            self._api_key(given)
        elif name == "hf-token" and given.values:
            self._secret("hf_token", given.values[0], "--hf-token")
        elif name == "headless":
            self._notes.refuse(
                self._launch.place,
                "--headless: it is a part of another engine and has no API server, which vllmd "
                "needs: import the one that has it",
            )
        elif name in _DROPPED:
            self._leave_out(name, _DROPPED[name])
            if name == "uds":
                made.keys["host"] = "127.0.0.1"
                made.reasons["--host"] = _DROPPED[name]
        elif reason := what_to_do(name):
            reason = reason.removeprefix("take the line out: ")
            self._leave_out(name, f"vLLM has it no more: {reason}")
        elif any(secrets_in_value(name, given.value)) and not is_unknown("".join(given.values)):
            self._notes.refuse(
                self._launch.place,
                f"--{name} has a secret in it, and every user of the host reads arguments: take it "
                "out, and give it as a variable of the daemon",
            )
        else:
            self._set(name, given)

    def _leave_out(self, name: str, reason: str) -> None:
        self._made.reasons[f"--{name}"] = reason
        self._made.remarks.append(f"left out: --{name}: {reason}")

    def _set(self, name: str, given: GivenFlag) -> None:
        made = self._made
        own = OWN_KEYS.get(name)
        if name == "lora-modules":
            made.has_lora = True
            made.reasons.setdefault("--enable-lora", "the adapters need it")
            made.lora["modules"] = dict(self._module(each) for each in given.values)
        elif own == "lora":
            made.has_lora = not given.negated
        elif own and own.startswith("lora."):
            made.lora[own.removeprefix("lora.")] = given.value
        elif own:
            made.keys[own] = self._as_key(own, name, given)
        else:
            self._renew(name, self._moved(name, given))

    def _renew(self, name: str, value: Any) -> None:
        """Set one of vLLM's own flags, with a value that vLLM takes now."""
        if name.partition(".")[0] not in NAMES and not is_unknown(name):
            self._made.remarks.append(
                f"--{name} is no flag of vLLM {VERSION}: 'vllmd check' asks the one that is "
                "installed"
            )
        now, made, said = renewed(name, value)
        if said:
            self._made.reasons[f"--{name}"] = "; ".join(said)
            self._made.reasons[f"--{now or name}"] = "; ".join(said)
            self._made.remarks += [f"--{name}: {each}" for each in said]
        if now:
            self._made.flags[now] = made

    def _moved(self, name: str, given: GivenFlag) -> Any:
        """Return a value whose paths are the host's."""
        moved = [self._paths.flag(name, each) for each in given.values]
        if moved != list(given.values):
            self._made.reasons[f"--{name}"] = self._why_moved()
        if not moved:
            return given.value
        if len(moved) > 1 or name in REPEATED:
            return moved
        read = read_value(moved[0])
        return moved[0] if isinstance(read, list) else self._paths.nested(read)

    def _why_moved(self) -> str:
        if self._launch.container is not None:
            return "the path on the host of what was mounted there"
        return f"as seen from {self._launch.folder or 'the working directory'}"

    def _as_key(self, own: str, name: str, given: GivenFlag) -> Any:
        if len(given.values) > 1 and own != "served_model_name":
            self._notes.refuse(
                self._launch.place, f"--{name} has {len(given.values)} values, and takes one"
            )
        if own == "served_model_name":
            return given.values[0] if len(given.values) == 1 else list(given.values)
        if own in ("model", "host", "quantization"):
            value = given.values[0] if given.values else ""
            if own == "model":
                moved = self._paths.flag("model", value)
                self._ask_for_folder(value)
                if moved != value:
                    self._made.reasons["--model"] = self._why_moved()
                    self._keep_name(value)
                return moved
            return value
        return given.value

    def _ask_for_folder(self, model: str) -> None:
        """Say what a name may be besides, where the folder that it was seen from is not here."""
        folder = self._paths.not_here
        if folder and re.fullmatch(r"[^/\s]+/[^/\s]+", model) and not is_unknown(model):
            self._made.remarks.append(
                f"model {model}: a name on the hub, as {folder} is not on this host; if it is a "
                f"folder there, write {join(folder, model)}"
            )

    def _keep_name(self, model: str) -> None:
        """Let requests find the model under the name that it had: its path as it was given."""
        flags = flags_of(self._launch.arguments)
        if last_of(flags, "served-model-name") is None and not is_unknown(model):
            self._made.keys["served_model_name"] = model
            self._made.reasons["--served-model-name"] = (
                "requests name the model as it was given before; without it by its path now"
            )

    def _module(self, text: str) -> tuple[str, str]:
        """Read an adapter as vLLM does: name=path, or JSON."""
        if text.startswith("{"):
            try:
                made: dict[str, Any] = json.loads(text)
                name, path = str(made.pop("name")), str(made.pop("path"))
            except (ValueError, KeyError, TypeError, RecursionError):
                self._notes.refuse(self._launch.place, f"--lora-modules {text}: it is no adapter")
                return text, text
            if made:
                left = ", ".join(made)
                self._made.remarks.append(f"left out: {left} of the adapter {name}")
        else:
            name, _, path = text.partition("=")
        moved = self._paths.path("--lora-modules", path) if self._paths.is_path(path) else path
        if moved != path:
            self._made.reasons["--lora-modules"] = self._why_moved()
        return name, moved

    # --- secrets -------------------------------------------------------------------------------

    def _api_key(self, given: GivenFlag) -> None:
        keys = [each for each in given.values if each]
        unknown = next((each for each in keys if is_unknown(each)), None)
        self._secret("api_key", unknown or "\n".join(keys), "--api-key")

    def _secret(self, kind: str, value: str, what: str) -> None:
        if not value:
            self._made.reasons[what] = "it is empty"
            return
        if is_left(value):
            value = mark(value, "nothing puts a value in here", self._launch.place)
        self._made.secrets[kind] = None if is_unknown(value) else value
        self._made.reasons[what] = of_secret(kind)
        if is_unknown(value):
            (unknown, *_) = unknowns([value])
            self._made.sources[kind] = f"it comes from {unknown.written}: {unknown.reason}"

    def _token_file(self, path: str) -> None:
        """Take the hub's token out of the file that a variable names; HF_TOKEN goes before it."""
        moved = self._paths.variable(OF_TOKEN_FILE, path) or ""
        text = None if is_unknown(moved) else self._paths.around.files.read(moved)
        place = self._launch.place
        value = (text or "").strip() or mark(path, "that file cannot be read here", place)
        if OF_HF_TOKEN.isdisjoint(self._launch.variables):
            self._secret("hf_token", value, OF_TOKEN_FILE)
        else:
            self._made.reasons[OF_TOKEN_FILE] = "HF_TOKEN goes before it"

    # --- variables -----------------------------------------------------------------------------

    def _variables(self) -> None:
        made = self._made
        for name, value in self._launch.variables.items():
            if name in OF_HF_TOKEN:
                self._secret("hf_token", value, name)
            elif name == "VLLM_API_KEY":
                self._secret("api_key", value, name)
            elif name == OF_TOKEN_FILE:
                self._token_file(value)
            elif (
                name in self._launch.secret or is_secret(name) or any(secrets_in_value(name, value))
            ):
                self._secret(f"{ENVIRONMENT}.{name}", value, name)
            elif self._launch.container is not None and name in _OF_CONTAINERS:
                made.reasons[name] = "it is for what runs containers"
            elif reason := GONE.get(name):
                made.reasons[name] = f"vLLM has it no more: {reason}"
                made.remarks.append(f"left out: {name}={value}: {made.reasons[name]}")
            elif (moved := self._paths.variable(name, value)) is None:
                made.reasons[name] = (
                    "its path is within the container, and on no folder of the host"
                )
                made.remarks.append(f"left out: {name}={value}: {made.reasons[name]}")
            else:
                made.env[name] = moved
                if moved != value:
                    made.reasons[name] = self._why_moved()
                if name.startswith("VLLM_") and not is_of_vllm(name):
                    made.remarks.append(
                        f"{name} is no variable of vLLM {VERSION}, which reads it no more than any "
                        "other: take it out, unless a plugin of yours does"
                    )

    def _cache(self) -> None:
        """Keep the hub's cache where it was, as far as that is known."""
        made, container = self._made, self._launch.container
        named = {"HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"}
        local = self._paths.is_path(str(made.keys.get("model", "/")))
        if named & set(self._launch.variables) or last_of(
            flags_of(self._launch.arguments), "download-dir"
        ):
            return
        if container is not None:
            found = cache_of(container)
            if found is not None and found[1].outside is not None:
                made.env[found[0]] = found[1].outside
                made.reasons[found[0]] = f"what was mounted at {found[1].inside}"
            elif found is not None and not local:
                made.remarks.append(
                    f"the hub's cache was in {found[1].what}: set env.{found[0]} to its path on "
                    "the host, or the model is downloaded again"
                )
            elif not local:
                made.remarks.append(
                    "the hub's cache was in the container: the model is downloaded again"
                )
        elif not local:
            home = self._launch.home or self._paths.around.home
            if home is not None:
                made.env["HF_HOME"] = f"{home.rstrip('/')}/.cache/huggingface"
                made.reasons["HF_HOME"] = "the hub's cache of who ran it; user vllmd has another"
            else:
                made.remarks.append(
                    "the hub's cache was that of who ran it, and engines run as user vllmd: set "
                    "env.HF_HOME to its path (~/.cache/huggingface), or the model is downloaded "
                    "again"
                )

    # --- what is not known ---------------------------------------------------------------------

    def _refuse_unknowns(self) -> None:
        """Refuse what is not known and is not a secret that somebody else writes."""
        secret = {"api-key", "hf-token"}
        texts = [*self._launch.program] if self._launch.container is None else []
        for each in flags_of(self._launch.arguments):
            if each.name not in secret and not what_to_do(each.name):
                texts += [each.name, *each.values]
        made = self._made
        texts += texts_in([made.keys, made.flags, made.lora, made.env])
        refuse_unknowns(texts, self._launch.place, self._notes)
