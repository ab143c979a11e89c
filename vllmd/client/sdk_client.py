"""What the clients of all providers have in common, whichever SDK they use."""

import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from vllmd.client.costs import CostTracker
from vllmd.client.interface import Message, ProviderError, Reply, S, Stream

T = TypeVar("T")


class SdkClient(abc.ABC):
    """A client by an official SDK: `Client`, but for what differs from one SDK to the next."""

    provider: str
    errors: ClassVar[tuple[type[Exception], ...]]
    """What the SDK raises."""
    status_error: ClassVar[type[Exception]]
    """What it raises for an answer that is a refusal, with `status_code` and `message`."""

    def __init__(self, model: str | None, tracker: CostTracker | None) -> None:
        self.model = model
        self._tracker = tracker

    def chat(
        self,
        messages: Sequence[Message],
        *,
        model: str | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> Reply:
        """Return the answer to a conversation. Raises: ProviderError."""
        asked = self._asked(messages, self._named(model), max_tokens, options)
        return self._counted(self._reply(self._ask(lambda: self._create(asked))))

    def stream(
        self,
        messages: Sequence[Message],
        *,
        model: str | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> Stream:
        """Return the answer to a conversation piece by piece."""
        asked = self._asked(messages, self._named(model), max_tokens, options)
        return Stream(lambda stream: self._pieces(stream, asked))

    def structured(
        self,
        messages: Sequence[Message],
        schema: type[S],
        *,
        model: str | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> S:
        """Return an answer that is an object of `schema`. Raises: ProviderError."""
        asked = self._asked(messages, self._named(model), max_tokens, options)
        answer = self._ask(lambda: self._create(asked, schema))
        reply = self._counted(self._reply(answer))
        parsed: S | None = self._parsed(answer)
        if parsed is None:
            reason = self._refused(answer) or f"it ended with {reply.finish_reason}"
            raise ProviderError(f"{self.provider} gave no {schema.__name__}: {reason}")
        return parsed

    # --- what differs from one provider to the next --------------------------------------------

    @abc.abstractmethod
    def _asked(
        self,
        messages: Sequence[Message],
        model: str,
        max_tokens: int | None,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return a request as the SDK wants it."""

    @abc.abstractmethod
    def _create(self, asked: Mapping[str, Any], schema: type[S] | None = None) -> Any:
        """Have the SDK ask, for an object of `schema` if there is one."""

    @abc.abstractmethod
    def _pieces(self, stream: Stream, asked: Mapping[str, Any]) -> Iterator[str]:
        """Yield the pieces of an answer, then give `stream` the whole. Raises: ProviderError."""

    @abc.abstractmethod
    def _reply(self, answer: Any) -> Reply:
        """Return what the SDK's answer says."""

    @abc.abstractmethod
    def _parsed(self, answer: Any) -> Any:
        """Return the object in an answer; None if there is none."""

    def _refused(self, answer: Any) -> str | None:
        """Return why the model gave none, if it says so."""
        del answer
        return None

    def _default_model(self) -> str:
        """Return the model to ask where none is named. Raises: ProviderError: there is none."""
        raise ProviderError(f"{self.provider}: name a model, as an argument or by LLM_MODEL")

    def _call(self, ask: Callable[[], T]) -> T:
        """Send a request; the SDK tries again as it sees fit."""
        return ask()

    # --- what does not -------------------------------------------------------------------------

    def _named(self, model: str | None) -> str:
        return model or self.model or self._default_model()

    def _ask(self, ask: Callable[[], T]) -> T:
        try:
            return self._call(ask)
        except self.errors as error:
            if not isinstance(error, self.status_error):
                raise ProviderError(f"{self.provider}: {error}") from error
            refusal: Any = error
            raise ProviderError(
                f"{self.provider} answered {refusal.status_code}: {refusal.message}",
                status=refusal.status_code,
            ) from error

    def _counted(self, reply: Reply) -> Reply:
        if self._tracker is not None:
            self._tracker.add(reply)
        return reply
