"""Ask characters the questions of their question files: does a reply hold the fact's answer, and how fast is it?

The check is one that a reader can follow by eye: key strings a question (`sheets/questions.py`). Each question is asked
in a conversation of its own, with no actions offered, so that one reply cannot help the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from npc_engine.client.blocking import Client
from npc_engine.playtest.heard import HeardTurn, hear
from npc_engine.sheets.questions import Question, QuestionSet, answers


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question and what came of it.

    Attributes:
        is_right: Whether the reply holds a string of every group.
        is_grounded: Whether the fact was among the premises; a miss without it is retrieval's, with it the model's.
    """

    character: str
    question: str
    fact: str
    wanted: str
    reply: str
    source: str
    is_right: bool
    is_grounded: bool
    time_to_first_token_s: float
    time_to_first_sentence_s: float
    total_s: float
    tokens_per_s: float | None
    prompt_tokens: int
    cached_tokens: int


def ask_all(
    client: Client, sets: Sequence[QuestionSet], *, on_asked: Callable[[int], None] = lambda _: None
) -> list[Asked]:
    """Ask every question, one after another; `on_asked` gets the number asked so far.

    Raises:
        NpcEngineError: The server refused a question, or is gone.
    """
    asked: list[Asked] = []
    for questions in sets:
        for question in questions.questions:
            asked.append(_ask(client, questions.character, question))
            on_asked(len(asked))
    return asked


def _ask(client: Client, character: str, question: Question) -> Asked:
    state = question.state.model_dump(mode="json")
    with client.open(character, player_id="examiner", state=state) as talk:
        heard = HeardTurn(line=question.question)
        for _ in hear(talk, heard):
            pass
    tokens = heard.trace.get("tokens", {})
    return Asked(
        character=character,
        question=question.question,
        fact=question.fact,
        wanted=" and ".join("/".join(group) for group in question.answer),
        reply=heard.reply,
        source=heard.end.source if heard.end else "none",
        is_right=answers(heard.reply, question.answer),
        is_grounded=any(premise["id"] == question.fact for premise in heard.trace.get("premises", ())),
        time_to_first_token_s=heard.time_to_first_token_s,
        time_to_first_sentence_s=heard.time_to_first_sentence_s,
        total_s=heard.total_s,
        tokens_per_s=heard.tokens_per_s,
        prompt_tokens=tokens.get("prompt", 0),
        cached_tokens=tokens.get("cached", 0),
    )


def summary(asked: Sequence[Asked]) -> dict[str, Any]:
    """The figures of a run: shares, and seconds as p50 and p95."""
    speeds = [one.tokens_per_s for one in asked if one.tokens_per_s is not None]
    return {
        "questions": len(asked),
        "right": sum(one.is_right for one in asked),
        "right_share": sum(one.is_right for one in asked) / len(asked),
        "grounded_share": sum(one.is_grounded for one in asked) / len(asked),
        "time_to_first_token_s": _p50_p95([one.time_to_first_token_s for one in asked]),
        "time_to_first_sentence_s": _p50_p95([one.time_to_first_sentence_s for one in asked]),
        "total_s": _p50_p95([one.total_s for one in asked]),
        "tokens_per_s": median(speeds) if speeds else None,
        "prompt_tokens": median(one.prompt_tokens for one in asked),
        "cached_tokens": median(one.cached_tokens for one in asked),
    }


def as_rows(asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """Plain data, one row a question."""
    return [asdict(one) for one in asked]


def _p50_p95(values: Sequence[float]) -> dict[str, float]:
    """Nearest-rank percentiles."""
    ordered = sorted(values)
    return {f"p{percent}": ordered[-(-percent * len(ordered) // 100) - 1] for percent in (50, 95)}
