"""A service that answers questions about a few documents, with whichever provider is set.

LLM_PROVIDER=openai, anthropic or vllm: nothing else changes. See README.md.
"""

import os
from pathlib import Path
from typing import Annotated

import bm25s
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, StringConstraints

from vllmd.client import Client, CostTracker, Message, ProviderError, get_client

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
DOCUMENTS = Path(__file__).with_name("documents")
SYSTEM = "Answer from the passages only, in one or two sentences. Say so if they do not tell."


class Question(BaseModel):
    """What is asked; `model` may be an adapter."""

    question: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)
    ]
    model: str | None = None
    max_tokens: int = 200


class Passage(BaseModel):
    """A part of a document, and how well it fits the question."""

    source: str
    text: str
    score: float


class Answer(BaseModel):
    """An answer, and what it is from."""

    answer: str
    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    passages: list[Passage]


class Library:
    """The documents, cut at empty lines, found by BM25."""

    def __init__(self, folder: Path) -> None:
        self._passages = [
            (path.name, text.strip())
            for path in sorted(folder.glob("*.md"))
            for text in path.read_text().split("\n\n")
            if text.strip()
        ]
        self._index = bm25s.BM25()
        self._index.index(self._tokens([text for _, text in self._passages]), show_progress=False)

    @staticmethod
    def _tokens(texts: list[str]) -> bm25s.tokenization.Tokenized:
        return bm25s.tokenize(texts, stopwords="en", show_progress=False)

    def find(self, question: str, count: int = 3) -> list[Passage]:
        """Return the passages that fit best, the best first, and none that do not fit at all."""
        count = min(count, len(self._passages))
        found, scores = self._index.retrieve(self._tokens([question]), k=count, show_progress=False)
        return [
            Passage(source=self._passages[i][0], text=self._passages[i][1], score=float(score))
            for i, score in zip(found[0], scores[0], strict=True)
            if score > 0
        ]


def messages_for(question: str, passages: list[Passage]) -> list[Message]:
    """Return the conversation; what is the same for all questions goes first, for prefix caches."""
    context = "\n\n".join(f"[{each.source}]\n{each.text}" for each in passages)
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"{context or '(no passage fits)'}\n\nQuestion: {question}"},
    ]


def create_app(client: Client | None = None, tracker: CostTracker | None = None) -> FastAPI:
    """Build the service; by default with the provider that LLM_PROVIDER names."""
    costs = tracker or CostTracker()
    answering = client or get_client(tracker=costs)
    library = Library(Path(os.environ.get("RAG_DOCUMENTS") or DOCUMENTS))
    app = FastAPI(title="Questions about a few documents")

    @app.post("/rag")
    def rag(asked: Question) -> Answer:
        passages = library.find(asked.question)
        try:
            reply = answering.chat(
                messages_for(asked.question, passages),
                model=asked.model,
                max_tokens=asked.max_tokens,
            )
        except ProviderError as error:
            raise HTTPException(502, str(error)) from error
        cost = costs.amount(reply.provider, reply.model, reply.usage)
        return Answer(
            answer=reply.text,
            provider=reply.provider,
            model=reply.model,
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
            cost_usd=None if cost is None else float(cost),
            passages=passages,
        )

    @app.get("/costs")
    def spent() -> dict[str, object]:
        return {
            "total_usd": float(costs.total),
            "unknown_prices": sorted(costs.unknown),
            "summary": costs.summary().splitlines(),
        }

    return app
