"""The requests of a probe: sent to an engine, and what came of them."""

import asyncio
import uuid
from collections.abc import Callable, Sequence

import attrs
import httpx

from vllmd.config.probe import TOP
from vllmd.probe.answer import BrokenAnswerError, OtherShapeError, PromptAnswer, parse
from vllmd.probe.prompts import PROMPTS, request

TIMEOUT_S = 120.0
"""A busy engine takes its time; one that hangs is not found here."""
SHOWN = 200
NO_NUMBER = "not JSON compliant"
"""What an answer with NaN becomes (seen, 0.32). Source: Python's json, `allow_nan=False`."""
REFUSES_KEY = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
VERSION_S = 5.0
VERSION_CHARACTERS = 64
PATH = "/v1/completions"
NOT_SAMPLED = "00"
"""The flags of a trace of which no span is to be recorded: a probe is no request of anybody.

Source: https://www.w3.org/TR/trace-context/#trace-flags; vLLM takes the parent from the headers."""


class NotAskedError(Exception):
    """It did not answer, for a reason that says nothing of its answers."""


class NotApplicableError(Exception):
    """It does not answer such a request at all: the message says why."""


@attrs.frozen
class Asker:
    """Asks one engine."""

    client: httpx.AsyncClient
    url: str
    model: str
    """The name of the base model."""
    key: str | None = attrs.field(default=None, repr=False)

    async def version(self) -> str | None:
        """Return the version of its vLLM; None if it does not say so.

        Source: vllm/entrypoints/serve/instrumentator, `GET /version`, which needs no key.
        """
        try:
            async with asyncio.timeout(VERSION_S):
                answer = await self.client.get(f"{self.url}/version", timeout=VERSION_S)
            return str(answer.json()["version"])[:VERSION_CHARACTERS]
        except (httpx.HTTPError, TimeoutError, ValueError, LookupError, TypeError, RecursionError):
            return None

    async def ask(
        self,
        prompts: Sequence[str] = PROMPTS,
        *,
        together: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> list[PromptAnswer]:
        """Ask all prompts, one after another or `together`; `check` is called before each.

        Raises: BrokenAnswerError: an answer that no sound engine gives; NotAskedError,
            NotApplicableError; what `check` raises.
        """
        if not together:
            answers = []
            for prompt in prompts:
                check()
                answers.append(await self._one(prompt))
            return answers
        check()
        found = await asyncio.gather(*map(self._one, prompts), return_exceptions=True)
        if failed := [each for each in found if isinstance(each, BaseException)]:
            raise failed[0]
        return [each for each in found if isinstance(each, PromptAnswer)]

    async def _one(self, prompt: str) -> PromptAnswer:
        trace = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-{NOT_SAMPLED}"
        headers = {"traceparent": trace}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        body = request(self.model, prompt, uuid.uuid4().hex)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                response = await self.client.post(
                    f"{self.url}{PATH}", json=body, headers=headers, timeout=TIMEOUT_S
                )
        except (httpx.HTTPError, TimeoutError) as error:
            raise NotAskedError(f"no answer ({error!r})") from None
        return read(response)


def read(response: httpx.Response) -> PromptAnswer:
    """Read a response.

    Raises: BrokenAnswerError, NotAskedError, NotApplicableError.
    """
    said = f"HTTP {response.status_code}: {response.text[:SHOWN]}"
    if NO_NUMBER in said:  # 400 by vLLM 0.32: it takes the ValueError for one of the request
        raise BrokenAnswerError(f"a log-probability that is no number ({said})")
    if response.status_code in REFUSES_KEY:
        raise NotApplicableError(f"it takes another API key than is configured ({said})")
    if 400 <= response.status_code < 500 and response.status_code != httpx.codes.TOO_MANY_REQUESTS:
        raise NotApplicableError(f"it takes no completion with log-probabilities ({said})")
    if not response.is_success:
        raise NotAskedError(said)
    try:
        return parse(response.json(), TOP)
    except (ValueError, RecursionError):
        raise NotAskedError(f"no JSON ({said})") from None
    except OtherShapeError as error:
        raise NotApplicableError(str(error)) from None
