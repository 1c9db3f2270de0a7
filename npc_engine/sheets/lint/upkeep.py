"""Rules about what keeps a sheet right while it grows: tests, and the editor's wiring."""

from __future__ import annotations

import re
from collections.abc import Iterator

from npc_engine.sheets.lint.context import Context
from npc_engine.sheets.lint.finding import Edit, Finding
from npc_engine.sheets.lint.subject import Text

SCHEMA_FILE = "character-1.json"
_SCHEMA_COMMENT = re.compile(r"^#\s*yaml-language-server:\s*\$schema=\S+")
# Where a schema file is looked for, from the sheet's folder: beside it, or as this project keeps it.
_SCHEMA_PLACES = (SCHEMA_FILE, f"../{SCHEMA_FILE}", f"schema/{SCHEMA_FILE}", f"../docs/schema/{SCHEMA_FILE}")


def untested(lint: Context) -> Iterator[Finding]:
    """SL014: no tests, or none of what can go wrong worst: a secret that gets out, an action that is not called."""
    sheet = lint.subject.sheet
    if not sheet.tests:
        yield lint.subject.found(
            "SL014", _top(lint, "id"), "the sheet has no tests", hint="write what must be answered under `tests`"
        )
        return
    secrets = [placed for placed in lint.subject.facts if placed.fact.secret and placed.is_own]
    if secrets and not any(test.never_says for test in sheet.tests):
        yield lint.subject.found(
            "SL014",
            secrets[0].text,
            f"no test asks whether a secret stays one; {len(secrets)} could get out",
            hint="write a test with `never_says`, in a state in which it is hidden",
        )
    if sheet.actions and not any(test.action for test in sheet.tests):
        yield lint.subject.found(
            "SL014",
            lint.subject.text_at("actions", 0, "name"),
            f"no test calls an action; the sheet has {len(sheet.actions)}",
            hint="write a test with `action`",
        )


def no_schema_comment(lint: Context) -> Iterator[Finding]:
    """SL017: without the comment in its first lines, an editor neither completes nor checks the sheet."""
    path = lint.subject.document.path
    lines = lint.subject.lines(path)
    if any(_SCHEMA_COMMENT.match(line) for line in lines[:3]):
        return
    found = next((place for place in _SCHEMA_PLACES if (path.parent / place).is_file()), None)
    comment = f"# yaml-language-server: $schema={found or SCHEMA_FILE}"
    yield lint.subject.found(
        "SL017",
        _top(lint, "schema"),
        "no line tells the editor which schema this is",
        hint=f"write as the first line: {comment}"
        + ("" if found else f"; `npc-engine sheet schema > {SCHEMA_FILE}` makes the file"),
        fix=Edit(path=path, line=1, text=comment) if found else None,
    )


def _top(lint: Context, key: str) -> Text:
    return Text(lint.subject.document, (key,), key)
