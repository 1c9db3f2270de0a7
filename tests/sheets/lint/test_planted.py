"""Planted defects are found at their lines, and the shipped sheets are left in peace."""

from collections import Counter
from pathlib import Path

import pytest

from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.lint.models import NO_MODELS, Models
from npc_engine.sheets.lint.rules import RULES, lint
from npc_engine.sheets.lint.subject import Subject
from npc_engine.sheets.templates import template_names, template_path
from tests.sheets.lint.planting import KINDS, SHEETS, planted

SEEDS = range(12)
# What only an NLI model can see: one of each a copy.
BY_MEANING = 3


def measure(folder: Path, models: Models) -> tuple[Counter[str], Counter[str], list[str]]:
    """How many defects of each code were planted and found, and what was missed."""
    there, found, missed = Counter(), Counter(), []
    for seed in SEEDS:
        copy = planted(seed)
        path = folder / f"{copy.name}.yaml"
        defects = copy.write(path)
        places = {(finding.line, finding.code) for finding in lint(Subject(path), models)}
        for defect in defects:
            there[defect[1]] += 1
            found[defect[1]] += defect in places
            if defect not in places:
                missed.append(f"seed {seed}: {defect}: {copy.lines[defect[0] - 1].text}")
    return there, found, missed


def test_planted_defects_of_every_kind_are_found_at_their_line(sheets_folder, encoder, scripted_nli):
    there, found, missed = measure(sheets_folder, Models(encoder=encoder, nli=scripted_nli))
    assert sum(there.values()) >= 150
    assert set(there) == set(KINDS)
    assert min(there.values()) >= 8
    assert sum(found.values()) >= 0.95 * sum(there.values()), "\n".join(missed)


def test_without_models_all_but_what_meaning_alone_shows_is_found(sheets_folder):
    there, found, missed = measure(sheets_folder, NO_MODELS)
    by_words = sum(there.values()) - BY_MEANING * len(SEEDS)
    assert sum(found.values()) >= 0.95 * by_words, "\n".join(missed)


@pytest.mark.parametrize("with_models", [False, True])
def test_the_shipped_sheets_have_at_most_one_finding_in_a_hundred_facts(with_models, encoder, scripted_nli):
    models = Models(encoder=encoder, nli=scripted_nli) if with_models else NO_MODELS
    subjects = [Subject(shipped_sheets_dir() / f"{name}.yaml") for name in SHEETS]
    findings = [finding for subject in subjects for finding in lint(subject, models)]
    num_facts = sum(len(subject.facts) for subject in subjects)
    assert len(findings) <= num_facts / 100, findings


@pytest.mark.model
def test_the_real_encoder_finds_nothing_more_on_the_shipped_sheets():
    from npc_engine.cli.sheet_models import load_models
    from npc_engine.config import load_config

    models = load_models(load_config(threads=1), nli=False).models
    findings = [one for name in SHEETS for one in lint(Subject(shipped_sheets_dir() / f"{name}.yaml"), models)]
    assert {finding.code for finding in findings} <= {"SL018"}, findings


@pytest.mark.parametrize("name", template_names())
def test_templates_are_without_a_finding(name, encoder):
    assert lint(Subject(template_path(name)), Models(encoder=encoder)) == []


def test_every_rule_is_planted_or_needs_a_tokenizer():
    assert set(RULES) - set(KINDS) == {"SL013", "SL018"}
