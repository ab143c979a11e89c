"""What the answers of one run depend on: found out once, as it was started with that.

A reload changes the configuration, and a checkpoint its files, while the run goes on as it is. What
is then read is of the next run: the reference would be recorded for another engine, and that one
would be found wrong.
"""

from collections.abc import Sequence

import attrs

from vllmd.config.command import Command
from vllmd.config.model import EngineConfig
from vllmd.engine.status import EngineStatus
from vllmd.probe.identity import AnswersIdentity, carried, identity_of
from vllmd.probe.model_files import ModelFiles
from vllmd.probe.reference import KeptProbe


class RunIdentity:
    """Of the runs of one engine, one after another."""

    def __init__(self) -> None:
        self._files = ModelFiles()
        self._known: tuple[str, AnswersIdentity] | None = None

    async def of(
        self,
        status: EngineStatus,
        kept: KeptProbe,
        engine: EngineConfig,
        command: Command,
        version: str | None,
        gpus: Sequence[str],
        *,
        as_kept: bool = False,
    ) -> AnswersIdentity | None:
        """Return that of the run that there is; `version` and `gpus` are of it, as far as known.

        `as_kept`: it has the command and the GPUs of the run that was asked last.

        Returns: None if it is not known: it runs with another command than it is configured with,
        and neither it nor one of the same was asked before.
        """
        assert status.run_id is not None
        known = self._of_before(status.run_id, kept)
        if known is None and status.command_changed:
            known = kept.identity if as_kept else None
            if known is None:
                return None
        if known is not None:
            known = carried(known, identity_of(engine, version, gpus, None))
        else:
            files = await self._files.digest(engine, command)
            known = identity_of(engine, version, gpus, files)
        self._known = status.run_id, known
        return known

    def kept_in(self, kept: KeptProbe) -> KeptProbe:
        """Return it with what is known of the run that was asked last, for later daemons."""
        if self._known is None or self._known[0] != kept.run_id:
            return kept
        return attrs.evolve(kept, identity=self._known[1])

    def _of_before(self, run_id: str, kept: KeptProbe) -> AnswersIdentity | None:
        if self._known is not None and self._known[0] == run_id:
            return self._known[1]
        if kept.run_id == run_id and kept.identity is not None:
            return kept.identity
        is_right = kept.run_id == run_id and kept.wrong is None
        return kept.reference.identity if is_right and kept.reference is not None else None
