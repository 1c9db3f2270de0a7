"""Role templates: whole sheets that a new one is begun from, and what is filled into them."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.scalarstring import FoldedScalarString

from npc_engine.errors import SheetName, SheetNotWritten
from npc_engine.sheets.fields import MAX_NAME_CHARS
from npc_engine.sheets.format import WIDTH, round_trip
from npc_engine.sheets.problems import near_miss

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class NewFact:
    """A fact to add.

    Attributes:
        text: The claim.
        tags: Other words for it.
        trust: From which trust on it is told, as a secret; None for a fact that everybody may hear.
    """

    text: str
    tags: tuple[str, ...] = ()
    trust: int | None = None


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a writer has said about a new character; None keeps what the template has."""

    id: str
    name: str | None = None
    role: str | None = None
    social: str | None = None
    personal: str | None = None
    context: str | None = None
    register: str | None = None
    greeting: str | None = None
    facts: Sequence[NewFact] = ()


def template_names() -> tuple[str, ...]:
    """The templates that there are, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def template_path(name: str) -> Path:
    """A template's file.

    Raises:
        SheetName: There is no such template.
    """
    if name not in template_names():
        known = ", ".join(template_names())
        raise SheetName(
            f"no template is called {name!r}", hint=near_miss(name, template_names()) or f"there are {known}"
        )
    return _FOLDER / f"{name}.yaml"


def template_summary(name: str) -> str:
    """The comment that says what a template is for."""
    comment = template_path(name).read_text(encoding="utf-8").splitlines()[1]
    return comment.removeprefix("# ")


def slug(text: str) -> str:
    """A text as an id: `Mira Oss` becomes `mira-oss`; `character` where nothing is left of it."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")
    return plain[:MAX_NAME_CHARS].strip("-") or "character"


def filled(name: str, answers: Answers) -> str:
    """A template's text with the answers in their places, its comments kept.

    Raises:
        SheetName: There is no such template.
    """
    yaml = round_trip()
    data = yaml.load(template_path(name).read_text(encoding="utf-8"))
    data["id"] = answers.id
    for key in ("name", "role", "social", "personal", "context"):
        if (text := getattr(answers, key)) is not None:
            data["identity"][key] = _scalar(text)
    if answers.register is not None:
        data["voice"]["register"] = answers.register
    if answers.greeting is not None:
        data["greeting"] = answers.greeting
    taken = {fact["id"] for fact in data["facts"]}
    entries = [_entry(fact, taken) for fact in answers.facts]
    data["facts"].extend(entries)
    out = io.StringIO()
    yaml.dump(data, out)
    text = "\n".join(line.rstrip() for line in out.getvalue().split("\n"))
    return _set_apart(text, entries)


def _set_apart(text: str, entries: Sequence[dict[str, Any]]) -> str:
    """Put the empty line that ended the template's facts behind the new ones, and a comment before them."""
    if not entries:
        return text
    first = re.search(rf"\n\n(?=  - id: ['\"]?{re.escape(entries[0]['id'])}['\"]?\n)", text)
    if first is None:
        raise SheetNotWritten("the template's facts do not end in an empty line", hint="report this as a bug")
    facts, _, after = text[first.end() :].partition("\nunknown_topics:")
    return f"{text[: first.start()]}\n  # Your own\n{facts}\n\nunknown_topics:{after}"


def _entry(fact: NewFact, taken: set[str]) -> dict[str, Any]:
    """A fact as a list entry, with an id made of its first words."""
    base = "-".join(slug(fact.text).split("-")[:4])
    fact_id = next(
        name for number in range(1, 1000) if (name := f"{base}-{number}" if number > 1 else base) not in taken
    )
    taken.add(fact_id)
    entry: dict[str, Any] = {"id": fact_id, "text": fact.text}
    if fact.tags:
        entry["tags"] = CommentedSeq(fact.tags)
        entry["tags"].fa.set_flow_style()
    if fact.trust is not None:
        entry |= {"when": f"trust >= {fact.trust}", "secret": True}
    return entry


def _scalar(text: str) -> str:
    """A long text as a folded block, as the templates write theirs."""
    return FoldedScalarString(text) if len(text) > WIDTH - 20 else text
