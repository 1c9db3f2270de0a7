"""Results for other programs: JUnit XML for continuous integration, JSON with every score."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from npc_engine.playtest.results import Head, not_written
from npc_engine.playtest.scores.scored import Scored
from npc_engine.playtest.scores.summary import summarise, verdicts

# What XML 1.0 does not allow in any text.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(scored: Sequence[Scored]) -> str:
    """JUnit XML: a suite a character, a test case a talk id, a failure where too few repeats came out right."""
    root = ET.Element("testsuites", name="npc-engine playtest")
    by_character: dict[str, list[Scored]] = {}
    for one in scored:
        by_character.setdefault(one.record.character, []).append(one)
    for character, talks in by_character.items():
        cases = verdicts(talks)
        failed = sum(not case.is_right for case in cases)
        suite = ET.SubElement(root, "testsuite", name=character, tests=str(len(cases)), failures=str(failed))
        for case in cases:
            seconds = sum(turn.total_s for one in case.scored for turn in one.record.turns)
            element = ET.SubElement(
                suite, "testcase", classname=character, name=_text(case.scored[0].record.name), time=f"{seconds:.3f}"
            )
            if not case.is_right:
                right = sum(one.is_right for one in case.scored)
                text = "\n\n".join(_told(one) for one in case.scored if not one.is_right)
                failure = ET.SubElement(element, "failure", message=f"{right} of {len(case.scored)} repeats are right")
                failure.text = _text(text)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _told(one: Scored) -> str:
    record = one.record
    lines = [f"seed {record.seed}"]
    lines += [f"> {turn.line}\n{turn.reply}" for turn in record.turns]
    lines += [f"line {fault.turn}: {fault.detail}" for fault in one.faults if fault.score == "as expected"]
    return "\n".join(lines)


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def as_json(head: Head, scored: Sequence[Scored]) -> dict[str, Any]:
    """Every score over all talks and by character, with the talks behind it, and what came of each talk."""
    characters = sorted({one.record.character for one in scored})
    return {
        "label": head.label,
        "settings": head.settings,
        "engine": head.engine,
        "talks": len(scored),
        "turns": sum(len(one.record.turns) for one in scored),
        "passed": sum(case.is_right for case in verdicts(scored)),
        "of": len(verdicts(scored)),
        "scores": _rows(scored),
        "characters": {name: _rows([one for one in scored if one.record.character == name]) for name in characters},
        "results": [
            {
                "talk": one.record.talk,
                "repeat": one.record.repeat,
                "seed": one.record.seed,
                "is_right": one.is_right,
                "faults": [asdict(fault) for fault in one.faults],
            }
            for one in scored
        ],
    }


def _rows(scored: Sequence[Scored]) -> dict[str, Any]:
    return {
        row.score.name: {
            "value": row.rate.value,
            "low": row.rate.low,
            "high": row.rate.high,
            "cases": row.rate.cases,
            "behind": [list(key) for key in row.behind],
        }
        for row in summarise(scored)
    }


def write_whole(path: Path, text: str) -> None:
    """Write a file beside its place and move it there: never half of it.

    Raises:
        ReportNotWritten: The system does not take it; nothing is left.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise not_written(path, error) from error


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write JSON.

    Raises:
        ReportNotWritten: As `write_whole`.
    """
    write_whole(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
