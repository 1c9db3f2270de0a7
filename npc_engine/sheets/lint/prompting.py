"""Rules about what reaches the model: text that orders it about, actions that look alike, a prompt beyond its room."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from npc_engine.sheets.lint.context import Context
from npc_engine.sheets.lint.finding import Edit, Finding
from npc_engine.sheets.lint.words import frame, words
from npc_engine.sheets.schema import ActionSpec

# From here on two names, or two descriptions, are taken for one another. Source: chosen by hand; the actions of the
# shipped sheets stay below.
NAME_RATIO = 0.85
DESCRIPTION_SHARE = 0.75
DESCRIPTION_COSINE = 0.9
_MARKUP = (
    r"<\|[^|\n]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?(?:system|assistant|user|s)>|"
    r"^#{2,}\s*(?:instruction|system|response|assistant|user)s?\b:?|\{\{(?:char|user|original)\}\}"
)
_MARKS = re.compile(_MARKUP, re.IGNORECASE | re.MULTILINE)
_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b[^.!?\n]{0,30}\b(?:previous|prior|above|earlier|all|your|these|those)\b"
    r"[^.!?\n]{0,20}\b(?:instructions?|prompts?|rules?|messages?|orders?)\b"
    r"|\byou(?:'re| are)(?: now)? (?:an? )?(?:ai\b|a\.i\.|artificial|large language|language model|llm\b|chat ?bot"
    r"|assistant\b)"
    r"|\b(?:as|i am|i'm) an? (?:ai\b|a\.i\.|artificial intelligence|language model|large language model|chat ?bot)"
    r"|\b(?:system|developer) (?:prompt|message|instructions?)\b|\bstay in character\b|\bbreak character\b"
    r"|\b(?:role-?play|pretend|act) as\b|\b(?:always|never|only) (?:answer|respond|reply|output)\b"
    r"|\b(?:respond|reply|answer) (?:only|always|in json)\b|^\s*(?:system|assistant|user)\s*:|\bjailbreak\b",
    re.IGNORECASE,
)


def instructs_engine(lint: Context) -> Iterator[Finding]:
    """SL012: text that gives the model orders or spells its role marks; it is a person's words, or it is nothing."""
    texts = [text for text in lint.subject.texts if not _is_players(text.path)]
    lore = [placed.text for placed in lint.subject.facts if not placed.is_own]
    for where in [*texts, *lore]:
        marks = _MARKS.search(where.text)
        found = marks or _ORDERS.search(where.text)
        if not found:
            continue
        fix = None
        if marks:
            line = lint.subject.mark(where, marks[0]).line
            # The prompt spells such marks as plain text, so taking them away changes nothing else.
            if marks[0] in lint.subject.lines(where.document.path)[line - 1] and where.text.strip() != marks[0]:
                fix = Edit(path=where.document.path, line=line, end_line=line, old=marks[0])
        kind = "a mark of the prompt's own" if marks else "an order to the model"
        yield lint.subject.found(
            "SL012",
            where,
            f"{kind} in the character's text: `{found[0].strip()[:60]}`",
            words=found[0].strip(),
            hint="describe the person; what the model must do is the engine's to say",
            fix=fix,
        )


def confusable_actions(lint: Context) -> Iterator[Finding]:
    """SL011: actions that the model cannot tell apart by name, description, arguments or examples."""
    actions = lint.subject.sheet.actions
    for index, action in enumerate(actions):
        for earlier in actions[:index]:
            problem, path = _confusable(lint, earlier, action)
            if problem:
                yield lint.subject.found(
                    "SL011",
                    lint.subject.text_at("actions", index, *path),
                    f"`{action.name}` and `{earlier.name}` {problem}",
                    hint="say in the description when this one is meant and the other is not",
                )
    yield from _shared_examples(lint)
    yield from _like_arguments(lint)


def _confusable(lint: Context, one: ActionSpec, other: ActionSpec) -> tuple[str, tuple[str | int, ...]]:
    names = sorted(one.name.split("_")), sorted(other.name.split("_"))
    if names[0] == names[1] or SequenceMatcher(None, one.name, other.name).ratio() >= NAME_RATIO:
        return "have almost one name", ("name",)
    left, right = frame(one.description), frame(other.description)
    share = len(left & right) / max(1, len(left | right))
    if share >= DESCRIPTION_SHARE or words(one.description) == words(other.description):
        return "have almost one description", ("description",)
    if lint.models.encoder is not None:
        a, b = lint.models.encoder.embed([one.description, other.description])
        if float(a @ b) >= DESCRIPTION_COSINE:
            return f"have descriptions that mean the same (cosine {float(a @ b):.2f})", ("description",)
    return "", ()


def _shared_examples(lint: Context) -> Iterator[Finding]:
    """Example lines that two actions claim, or one action twice."""
    seen: dict[tuple[str, ...], ActionSpec] = {}
    for index, action in enumerate(lint.subject.sheet.actions):
        for position, line in enumerate(action.examples):
            where = lint.subject.text_at("actions", index, "examples", position)
            owner = seen.setdefault(tuple(words(line)), action)
            if owner is not action:
                yield lint.subject.found(
                    "SL011",
                    where,
                    f"the example {line!r} is also one of `{owner.name}`",
                    hint="give it to the action that it wants",
                )
            elif any(words(line) == words(before) for before in action.examples[:position]):
                lines = lint.subject.entry_lines(where)
                yield lint.subject.found(
                    "SL011",
                    where,
                    f"`{action.name}` has the example {line!r} twice",
                    hint="write another one",
                    fix=lines and Edit(path=where.document.path, line=lines[0], end_line=lines[1]),
                )


def _like_arguments(lint: Context) -> Iterator[Finding]:
    """Two arguments of one action with one description."""
    for index, action in enumerate(lint.subject.sheet.actions):
        seen: dict[tuple[str, ...], str] = {}
        for position, parameter in enumerate(action.parameters):
            key = tuple(words(parameter.description))
            if key in seen:
                yield lint.subject.found(
                    "SL011",
                    lint.subject.text_at("actions", index, "parameters", position, "description"),
                    f"the arguments `{parameter.name}` and `{seen[key]}` of `{action.name}` have one description",
                    hint="say how the two differ",
                )
            seen.setdefault(key, parameter.name)


def over_budget(lint: Context) -> Iterator[Finding]:
    """SL013: what is in every prompt leaves the model no room for a talk."""
    if lint.models.budget is None:
        return
    cost = lint.models.budget(lint.subject.sheet)
    if cost.frame_tokens > cost.limit_tokens:
        yield lint.subject.found(
            "SL013",
            lint.subject.text_at("identity", "social"),
            f"identity, goals, voice and rules take {cost.frame_tokens} tokens of {cost.model}, "
            f"{cost.limit_tokens} are allowed: the engine refuses the sheet",
            hint="shorten the identity and the bare voice lines, or raise max_context_tokens",
        )


def examples_left_out(lint: Context) -> Iterator[Finding]:
    """SL018: example turns that do not fit beside the rest, so that the model never sees them."""
    if lint.models.budget is None:
        return
    cost = lint.models.budget(lint.subject.sheet)
    if cost.frame_tokens <= cost.limit_tokens and cost.num_examples < cost.num_authored:
        yield lint.subject.found(
            "SL018",
            lint.subject.text_at("voice", "register"),
            f"{cost.num_authored - cost.num_examples} of {cost.num_authored} example turns do not fit beside the rest "
            f"({cost.limit_tokens} tokens of {cost.model} in all)",
            hint="shorten the identity, or put the examples that matter most first",
        )


def _is_players(path: tuple[str | int, ...]) -> bool:
    """What a player says: tests may well hold attacks."""
    return path[0] == "tests" or path[-1] == "player" or (len(path) > 2 and path[2] in ("examples", "keywords"))
