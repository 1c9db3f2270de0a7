"""`npc-engine sheet lint`: what is wrong with sheets that load."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import npc_engine
from npc_engine.cli.sheet_models import SheetModels, load_models, print_notes
from npc_engine.errors import SheetError
from npc_engine.sheets.lint.finding import Finding, Severity
from npc_engine.sheets.lint.fixing import fix as fix_all
from npc_engine.sheets.lint.models import Models
from npc_engine.sheets.lint.rules import RULES
from npc_engine.sheets.lint.rules import lint as lint_subject
from npc_engine.sheets.lint.sarif import sarif
from npc_engine.sheets.lint.subject import Subject
from npc_engine.sheets.loader import sheet_files

# A fix may uncover another one; a file that is still fixable after so many runs is left as it is.
MAX_FIX_RUNS = 5


class Format(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found in one sheet."""

    file: Path
    problems: tuple[SheetError, ...] = ()
    findings: tuple[Finding, ...] = ()
    num_facts: int = 0


def lint(
    paths: Annotated[list[Path], typer.Argument(help="Sheet files, or folders of them.")],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on any finding, not only on errors.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Mend in place what can be mended safely.")] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to print what is found.")] = Format.TEXT,
    select: Annotated[
        list[str] | None, typer.Option(help="Only these codes: SL001,SL005. May be repeated.", metavar="CODES")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Not these codes.", metavar="CODES")] = None,
    use_models: Annotated[
        bool, typer.Option("--models/--no-models", help="Use the encoder, NLI model and tokenizer that are installed.")
    ] = True,
    model: Annotated[str | None, typer.Option(help="Dialogue model whose tokens count.")] = None,
) -> None:
    """Find what is wrong with sheets that load, each with file, line and code. docs/lint.md explains the codes."""
    codes = chosen_codes(select, ignore)
    files = sheet_files(paths)
    from npc_engine.config import load_config

    loaded = _Loaded(lambda: load_models(load_config(model=model)) if use_models else None)
    reports = [_report(file, loaded, codes) for file in files]
    fixed: list[Finding] = []
    runs = MAX_FIX_RUNS if fix else 0
    while runs and (done := fix_all(one for report in reports for one in report.findings)):
        fixed += done
        reports = [_report(file, loaded, codes) for file in files]
        runs -= 1
    _print(format_, reports, fixed, loaded.notes)
    if _is_bad(reports, strict=strict):
        raise typer.Exit(1)


def chosen_codes(select: Sequence[str] | None, ignore: Sequence[str] | None) -> tuple[str, ...]:
    """The codes to look for, in the rules' order.

    Raises:
        typer.BadParameter: A code that is none.
    """
    wanted, unwanted = (
        [code.strip().upper() for text in given or () for code in text.split(",")] for given in (select, ignore)
    )
    for code in (*wanted, *unwanted):
        if code not in RULES:
            raise typer.BadParameter(f"{code!r} is no code; docs/lint.md has them: {', '.join(RULES)}")
    return tuple(code for code in RULES if (not wanted or code in wanted) and code not in unwanted)


class _Loaded:
    """The models, loaded when the first sheet is ready for them: a sheet that does not load needs none."""

    def __init__(self, load: Callable[[], SheetModels | None]) -> None:
        self._load: Callable[[], SheetModels | None] | None = load
        self._loaded: SheetModels | None = None

    @property
    def models(self) -> Models:
        if self._load is not None:
            self._loaded, self._load = self._load(), None
        return self._loaded.models if self._loaded else Models()

    @property
    def notes(self) -> tuple[str, ...]:
        return self._loaded.notes if self._loaded else ()


def _report(file: Path, loaded: _Loaded, codes: Sequence[str]) -> Report:
    try:
        subject = Subject(file)
    except SheetError as error:
        return Report(file=file, problems=tuple(getattr(error, "problems", ()) or (error,)))
    findings = lint_subject(subject, loaded.models, codes=codes)
    return Report(file=file, findings=tuple(findings), num_facts=len(subject.facts))


def _is_bad(reports: Sequence[Report], *, strict: bool) -> bool:
    if any(report.problems for report in reports):
        return True
    found = [finding for report in reports for finding in report.findings]
    return any(strict or RULES[finding.code].severity is Severity.ERROR for finding in found)


def _print(form: Format, reports: Sequence[Report], fixed: Sequence[Finding], notes: Sequence[str]) -> None:
    if form is Format.TEXT:
        _print_text(reports, fixed, notes)
    elif form is Format.JSON:
        document = {
            "version": npc_engine.__version__,
            "notes": list(notes),
            "fixed": [_plain(finding) for finding in fixed],
            "files": [
                {
                    "file": str(report.file),
                    "facts": report.num_facts,
                    "findings": [_plain(finding) for finding in _all(report)],
                }
                for report in reports
            ],
        }
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        found = [finding for report in reports for finding in _all(report)]
        log = sarif(found, version=npc_engine.__version__, notes=notes)
        typer.echo(json.dumps(log, indent=2, ensure_ascii=False))


def _print_text(reports: Sequence[Report], fixed: Sequence[Finding], notes: Sequence[str]) -> None:
    for finding in fixed:
        typer.echo(f"fixed: {_line(finding)}")
    for report in reports:
        for finding in _all(report):
            typer.echo(_line(finding))
            if finding.hint:
                typer.echo(f"  hint: {finding.hint}" + ("  [--fix does it]" if finding.fix else ""))
    found = [finding for report in reports for finding in _all(report)]
    num_facts = sum(report.num_facts for report in reports)
    sheets = "1 sheet" if len(reports) == 1 else f"{len(reports)} sheets"
    counts = "nothing found" if not found else "1 finding" if len(found) == 1 else f"{len(found)} findings"
    typer.echo(f"{sheets}, {num_facts} facts: {counts}" + (f", {len(fixed)} fixed" if fixed else ""))
    print_notes(notes)


def _all(report: Report) -> list[Finding]:
    """A report's findings, those of a sheet that does not load in the loader's own codes."""
    problems = [
        Finding(
            code=problem.code,
            path=problem.path or report.file,
            line=problem.line or 1,
            column=problem.column or 1,
            key=problem.key,
            message=problem.problem,
            hint=problem.hint,
        )
        for problem in report.problems
    ]
    return [*problems, *report.findings]


def _line(finding: Finding) -> str:
    """As compilers do, place first: editors and terminals make a link of it."""
    place = f"{finding.path}:{finding.line}:{finding.column}"
    score = f" ({finding.score:.2f})" if finding.score is not None else ""
    name = f" {RULES[finding.code].name}" if finding.code in RULES else ""
    return ": ".join(part for part in (place, finding.code + name, finding.key, finding.message + score) if part)


def _plain(finding: Finding) -> dict[str, Any]:
    rule = RULES.get(finding.code)
    return {
        "code": finding.code,
        "name": rule.name if rule else "does-not-load",
        "severity": rule.severity.value if rule else "error",
        "file": str(finding.path),
        "line": finding.line,
        "column": finding.column,
        "key": finding.key,
        "message": finding.message,
        "hint": finding.hint,
        "score": round(finding.score, 3) if finding.score is not None else None,
        "fixable": finding.fix is not None,
    }
