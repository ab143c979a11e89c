"""Failures of one form: ends that lines tell, and a core that dies without a word."""

from tests.verdicts.model import NAMED, Failure, Phase, Raised, Said, Who, failure

CORE_DIED = Said(
    "Engine core proc EngineCore_DP0 died unexpectedly, shutting down client.",
    Who.API,
    "ERROR",
    "core_client.py:564",
)
MID = ("0.10.1", "0.11.0", "0.19.0")


def printed(
    name: str,
    phase: Phase,
    causes: str,
    hold: bool | None,
    words: str,
    source: str,
    *lines: Said | str,
    chain: tuple[Raised, ...] = (),
    versions: tuple[str, ...] = NAMED,
    code: int | None = None,
    echoes: bool = True,
) -> Failure:
    """Return an end that is told by lines of the engine's core, as text or with what is before it."""
    said = tuple(Said(line) if isinstance(line, str) else line for line in lines)
    return failure(
        name,
        phase,
        Who.CORE,
        causes,
        hold,
        words,
        source,
        *chain,
        said=said,
        versions=versions,
        exit_code=code,
        echoes=echoes,
    )


def silent(name: str, source: str, *said: Said, versions: tuple[str, ...] = MID) -> Failure:
    """Return a run in which something else is said before the engine's core dies without a word."""
    return failure(
        name,
        Phase.SERVING,
        Who.CORE,
        "engine_core_died killed",
        False,
        "died unexpectedly",
        source,
        said=(*said, CORE_DIED),
        versions=versions,
    )
