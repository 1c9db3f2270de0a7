"""docs/lint.md: a chapter for each code, with its severity and name, and examples that are linted here."""

import json
import re
from pathlib import Path

import pytest

from npc_engine.sheets.lint.rules import RULES, lint
from npc_engine.sheets.lint.subject import Subject
from npc_engine.sheets.yaml_reader import read_yaml

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "lint.md").read_text(encoding="utf-8")
BASE = (DOCS / "sheets.md").read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
CHAPTERS = dict(re.findall(r"^## (SL\d{3}) [^\n]*\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
# What needs a tokenizer, or is a comment, cannot be a part of a sheet.
NOT_PARTS = {"SL013", "SL017", "SL018"}


def merged(base, part):
    if isinstance(base, dict) and isinstance(part, dict):
        return base | {key: merged(base.get(key), value) for key, value in part.items()}
    return part


def test_page_and_rules_have_the_same_codes_in_the_same_order():
    assert list(CHAPTERS) == list(RULES)
    for code, rule in RULES.items():
        assert f"\n## {code} {rule.name}\n\n**{rule.severity}.** " in PAGE


@pytest.mark.parametrize("code", [code for code in RULES if code not in NOT_PARTS])
def test_the_bad_example_is_found_and_the_good_one_is_not(code, tmp_path):
    examples = dict(re.findall(r"```yaml (bad|good)\n(.*?)```", CHAPTERS[code], re.DOTALL))
    assert list(examples) == ["bad", "good"]
    base, found = tmp_path / "base.yaml", {}
    base.write_text(BASE, encoding="utf-8")
    for name, text in examples.items():
        part, path = tmp_path / f"{name}-part.yaml", tmp_path / f"{name}.yaml"
        part.write_text(text, encoding="utf-8")
        # JSON is YAML of our kind.
        sheet = merged(read_yaml(base).data, read_yaml(part).data)
        path.write_text(json.dumps(sheet, indent=1, ensure_ascii=False), encoding="utf-8")
        found[name] = [finding.code for finding in lint(Subject(path))]
    assert code in found["bad"]
    assert code not in found["good"]


@pytest.mark.parametrize("code", sorted(NOT_PARTS))
def test_other_examples_are_text(code):
    assert re.search(r"```text\nbad: .*\ngood: ", CHAPTERS[code], re.DOTALL)
