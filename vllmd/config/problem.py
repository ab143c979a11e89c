"""One mistake in a configuration, in three parts: what is wrong, where, what to do."""

import enum

import attrs

from vllmd.errors import ConfigError


class ProblemSeverity(enum.StrEnum):
    """Whether the configuration can be used all the same."""

    ERROR = "error"
    WARNING = "warning"


@attrs.frozen
class ConfigProblem:
    """One mistake; `key` is its path, `line` counts from 1 and is None where not known.

    `variable` is the environment variable that gave the value, if one did.
    """

    message: str
    fix: str
    key: str = ""
    line: int | None = None
    severity: ProblemSeverity = ProblemSeverity.ERROR
    variable: str | None = None

    def format(self, path: str | None) -> str:
        """Write the problem as a compiler does: file, line, severity, key, message, fix."""
        place = self.variable or path or "configuration"
        if self.line is not None and self.variable is None:
            place += f":{self.line}"
        where = f"{self.key}: " if self.key else ""
        return f"{place}: {self.severity}: {where}{self.message}; {self.fix}"


@attrs.frozen
class TableProblem:
    """Why an engine cannot be as one of its tables says: the key, a sentence, what to do."""

    key: tuple[str, ...]
    message: str
    fix: str
    is_error: bool = True

    @property
    def severity(self) -> ProblemSeverity:
        """Whether the configuration can be used all the same."""
        return ProblemSeverity.ERROR if self.is_error else ProblemSeverity.WARNING


class InvalidConfigError(ConfigError):
    """The configuration has mistakes; `problems` lists all of them."""

    def __init__(self, path: str | None, problems: list[ConfigProblem]) -> None:
        self.path = path
        self.problems = problems
        super().__init__("\n".join(problem.format(path) for problem in problems))
