"""What a daemon's parts answer, for scenes of the status."""

import attrs


@attrs.define
class FakePage:
    version: str | None = "0.33.0"
    readable: bool | None = True


@attrs.define
class FakeLogs:
    problems: dict[str, str] = attrs.field(factory=dict)
    printing: dict[str, str] = attrs.field(factory=dict)

    def under_way(self, name: str) -> str | None:
        return self.printing.get(name)

    def problem(self, name: str) -> str | None:
        return self.problems.get(name)
