"""What is asked of an engine that a test plays."""

import httpx

from vllmd.engine.liveness.canary import Ask
from vllmd.engine.liveness.fresh_look import FreshLook
from vllmd.engine.liveness.rank_probe import RanksToAsk
from vllmd.engine.liveness.reading import PageAnswer, ProcessActivity, Reading
from vllmd.engine.output.run_output import new_lines
from vllmd.engine.probes.sleep_routes import SleepRoutes
from vllmd.logs.reader import LogReader


class ProbesOfATest:
    """Probes of an engine that owns its port and does not answer; a test says the rest."""

    canary: Ask | None = None
    ranks: RanksToAsk | None = None
    sleep_routes = SleepRoutes("http://127.0.0.1:9", httpx.AsyncClient())

    async def loading(self) -> bool:
        return False

    async def serving(self) -> Reading:
        return Reading(0.0, PageAnswer.NONE)

    async def look_afresh(self, canary: bool) -> FreshLook:
        return FreshLook(PageAnswer.UNKNOWN)

    def gets_on(self) -> bool:
        return False

    async def printed(self, log: LogReader) -> list[str]:
        return new_lines(log)

    def printing(self, run_id: str) -> str | None:
        return None

    def owns_port(self, shim_pid: int) -> bool | None:
        return True

    def activity(self, shim_pid: int, engine_pid: int) -> ProcessActivity | None:
        return None

    def pages(self) -> bytes:
        return b""

    def forget(self) -> None:
        return None
