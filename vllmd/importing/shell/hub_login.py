"""The token that the hub's own client is given: engines find it in its cache. Pure."""

from collections.abc import Sequence

from vllmd.importing.shell.state import ShellState
from vllmd.importing.unknown import Place
from vllmd.importing.variables import OF_HF_TOKEN

_CLIENTS = frozenset({"hf", "huggingface-cli"})


def log_in(state: ShellState, words: Sequence[str], place: Place) -> None:
    """Let what is started later have the token, where a variable does not say another."""
    if words[0].rsplit("/", 1)[-1] not in _CLIENTS or "login" not in words:
        return
    if OF_HF_TOKEN & state.exported:
        return
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == "--token" and (token := value if equals else following):
            state.assign("HF_TOKEN", token)
            state.exported.add("HF_TOKEN")
            return
    state.notes.remark(
        f"{place}: the token that the hub's client asks for is kept in the home of who ran it: "
        "write it to /etc/vllmd/credentials/hf_token"
    )
