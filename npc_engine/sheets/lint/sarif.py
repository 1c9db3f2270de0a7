"""Findings as SARIF 2.1.0, which code hosts and editors show beside the lines.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0, sections 3.13 to 3.28.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from npc_engine.sheets.lint.finding import Finding
from npc_engine.sheets.lint.rules import RULES

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(findings: Sequence[Finding], *, version: str, notes: Sequence[str] = ()) -> dict[str, Any]:
    """One run as a SARIF log.

    Args:
        findings: What was found; paths are written as they are, relative ones relative to where the command ran.
        version: The program's.
        notes: What the run could not do, such as rules without their model.
    """
    codes = sorted({finding.code for finding in findings})
    rules = [_rule(code) for code in codes]
    run: dict[str, Any] = {
        "tool": {"driver": {"name": "npc-engine sheet lint", "version": version, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, codes.index(finding.code)) for finding in findings],
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [{"level": "note", "message": {"text": note}} for note in notes],
            }
        ],
    }
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    """What a code means; a code that is no rule's is the loader's."""
    rule = RULES.get(code)
    if rule is None:
        return {"id": code, "name": "SheetDoesNotLoad", "shortDescription": {"text": "The sheet does not load."}}
    return {
        "id": code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "defaultConfiguration": {"level": rule.severity.value},
    }


def _result(finding: Finding, rule_index: int) -> dict[str, Any]:
    hint = f" ({finding.hint})" if finding.hint else ""
    region = {"startLine": finding.line, "startColumn": finding.column}
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule_index,
        "level": RULES[finding.code].severity.value if finding.code in RULES else "error",
        "message": {"text": finding.message + hint},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": _uri(finding.path)}, "region": region},
                "logicalLocations": [{"fullyQualifiedName": finding.key, "kind": "member"}],
            }
        ],
    }
    if finding.score is not None:
        result["properties"] = {"score": round(finding.score, 3)}
    return result


def _uri(path: Path) -> str:
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
