"""`npc-engine sheet new`: a new sheet from a role template, guided by questions or as the template stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from npc_engine.cli.console import err
from npc_engine.cli.sheet_schema import SCHEMA_FILE, json_schema
from npc_engine.sheets.fields import MAX_FACT_CHARS, MAX_LINE_CHARS, MAX_NAME_CHARS, MAX_NOTE_CHARS, MAX_PROSE_CHARS
from npc_engine.sheets.loader import load_sheet
from npc_engine.sheets.templates import (
    Answers,
    NewFact,
    filled,
    slug,
    template_names,
    template_path,
    template_summary,
)
from npc_engine.sheets.writing import check_free, create

BACK = "<"
DEFAULT_TEMPLATE = "merchant"
DEFAULT_TRUST = 60


def new(
    file: Annotated[
        Path | None, typer.Argument(help="Where to write it [default: ID.yaml here].", show_default=False)
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="Begin with this template and ask nothing.", metavar="TEMPLATE")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The character's name.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the templates and leave.")] = False,
) -> None:
    """Write a new sheet: guided by questions, or a role template as it stands. Overwrites nothing."""
    if list_:
        for template in template_names():
            typer.echo(f"{template:12} {template_summary(template)}")
        return
    if file is not None:
        check_free(file)
    if from_ is not None:
        template_path(from_)
        sheet_id = slug(name) if name else slug(file.stem) if file else from_
        template, answers = from_, Answers(id=sheet_id, name=name)
    else:
        template, answers = Interview(_terminal).run(name)
    path = file or Path(f"{answers.id}.yaml")
    create(path, filled(template, answers), load_sheet)
    schema = path.parent / SCHEMA_FILE
    is_new = not schema.exists()
    if is_new:
        create(schema, json_schema())
    typer.echo(f"{path}: written from the template {template}" + (f", with {schema} for your editor" if is_new else ""))
    typer.echo(f"next: npc-engine sheet lint {path}")


Ask = Callable[[str, str], str]
"""Shows a question and its default; returns what was typed, white space stripped."""


def _terminal(question: str, default: str) -> str:
    shown = f"{question} [{default}]" if default else question
    answer: str = typer.prompt(shown, default="", show_default=False, err=True)
    return answer.strip()


@dataclass
class _Said:
    """What the writer has said so far; steps write it, going back writes it again."""

    template: str = DEFAULT_TEMPLATE
    texts: dict[str, str] = field(default_factory=dict)
    facts: list[NewFact] = field(default_factory=list)


class Interview:
    """Asks one thing after the other; empty keeps the default, `<` goes back one question.

    Args:
        ask: Where questions go and answers come from.
        say: Where remarks go.
    """

    def __init__(self, ask: Ask, say: Callable[[str], None] | None = None) -> None:
        self._ask = ask
        self._say = say or (lambda line: err.print(line, markup=False, soft_wrap=True))

    def run(self, name: str | None = None) -> tuple[str, Answers]:
        """Ask everything.

        Returns:
            The template, and what goes into it.
        """
        self._say(f"Enter keeps what stands in [ ], {BACK} goes back one question. Everything can be changed later.")
        for template in template_names():
            self._say(f"  {template:12} {template_summary(template)}")
        said = _Said(texts={"name": name} if name else {})
        steps: list[Callable[[_Said], bool]] = [
            self._template,
            self._text("name", "Name", MAX_NAME_CHARS),
            self._id,
            self._text("role", "Trade and place, in one phrase", MAX_NOTE_CHARS),
            self._text("social", "Standing: family, groups, how others see the character", MAX_PROSE_CHARS),
            self._text("personal", "What the character values, fears, is proud of", MAX_PROSE_CHARS),
            self._text("context", "What is going on in the character's life now", MAX_PROSE_CHARS),
            self._text("register", "Manner of speech", MAX_NOTE_CHARS),
            self._text("greeting", "Said when a talk begins", MAX_LINE_CHARS),
            self._facts,
            self._secret,
        ]
        step = 0
        while step < len(steps):
            step = step + 1 if steps[step](said) else max(0, step - 1)
        texts = said.texts
        return said.template, Answers(
            id=texts.get("id") or slug(texts.get("name") or said.template),
            **{key: texts.get(key) for key in ("name", "role", "social", "personal", "context")},
            register=texts.get("register"),
            greeting=texts.get("greeting"),
            facts=said.facts,
        )

    def _template(self, said: _Said) -> bool:
        while True:
            answer = self._ask("Template", said.template)
            if answer == BACK:
                return False
            if not answer or answer in template_names():
                said.template = answer or said.template
                return True
            self._say(f"  there is none of that name; one of: {', '.join(template_names())}")

    def _text(self, key: str, question: str, max_chars: int) -> Callable[[_Said], bool]:
        def step(said: _Said) -> bool:
            while True:
                default = said.texts.get(key) or _of_template(said.template, key)
                answer = self._ask(question, default)
                if answer == BACK:
                    return False
                if len(answer) <= max_chars:
                    if answer:
                        said.texts[key] = answer
                    return True
                self._say(f"  {len(answer)} characters, at most {max_chars} are allowed")

        return step

    def _id(self, said: _Said) -> bool:
        while True:
            default = said.texts.get("id") or slug(said.texts.get("name") or said.template)
            answer = self._ask("Id, for files and the game", default) or default
            if answer == BACK:
                return False
            if slug(answer) == answer:
                if answer != default:
                    said.texts["id"] = answer
                return True
            self._say(f"  lower-case letters, digits and - only; for example {slug(answer)}")

    def _facts(self, said: _Said) -> bool:
        said.facts = [fact for fact in said.facts if fact.trust is not None]
        self._say("Facts: one claim each, in the first person: 'I charge 40 crowns for a short sword.'")
        while True:
            text = self._ask("A fact (empty: no more)", "")
            if not text:
                return True
            if text == BACK:
                if not said.facts or said.facts[-1].trust is not None:
                    return False
                said.facts.pop()
                self._say("  the last fact is gone")
                continue
            if len(text) > MAX_FACT_CHARS:
                self._say(f"  {len(text)} characters, at most {MAX_FACT_CHARS} are allowed")
                continue
            tags = self._ask("  what players call it, with commas", "")
            said.facts.append(NewFact(text=text, tags=_tags(tags)))

    def _secret(self, said: _Said) -> bool:
        said.facts = [fact for fact in said.facts if fact.trust is None]
        text = self._ask("A secret, told only to friends (empty: none)", "")
        while len(text) > MAX_FACT_CHARS:
            self._say(f"  {len(text)} characters, at most {MAX_FACT_CHARS} are allowed")
            text = self._ask("A secret, told only to friends (empty: none)", "")
        if text == BACK:
            return False
        if text:
            said.facts.append(NewFact(text=text, trust=self._trust()))
        return True

    def _trust(self) -> int:
        while True:
            answer = self._ask("  from which trust on, 1 to 100", str(DEFAULT_TRUST)) or str(DEFAULT_TRUST)
            if answer.isdecimal() and 1 <= int(answer) <= 100:
                return int(answer)
            self._say("  a whole number from 1 to 100")


def _of_template(template: str, key: str) -> str:
    """What the template has there: the default."""
    sheet = load_sheet(template_path(template))
    value = sheet.voice.register_ if key == "register" else getattr(sheet, key, None) or getattr(sheet.identity, key)
    return str(value)


def _tags(text: str) -> tuple[str, ...]:
    return tuple(tag[:MAX_NAME_CHARS] for part in text.split(",") if (tag := part.strip()))[:16]
