"""How a failure with one exception is written in a line."""

from tests.verdicts.model import Failure, Phase, Raised, Said, Who, failure


def reported(
    name: str,
    phase: Phase,
    who: Who,
    causes: str,
    hold: bool | None,
    words: str,
    error: str,
    text: str,
    file: str = "",
    function: str = "",
    *,
    said: tuple[Said, ...] = (),
    config: str = "",
    exit_code: int | None = None,
    echoes: bool = True,
) -> Failure:
    """Return a failure whose source is where it was raised, or else argparse or the kernel."""
    chain = (Raised(error, text, file, function),) if error else ()
    return failure(
        name,
        phase,
        who,
        causes,
        hold,
        words,
        f"{file}, {function}" if file else "Python, the kernel",
        *chain,
        said=said,
        config=config,
        exit_code=exit_code,
        echoes=echoes,
    )
