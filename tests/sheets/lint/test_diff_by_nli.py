"""`sheet diff` with an NLI model: what became of a fact's meaning."""

import pytest

from npc_engine.sheets.diff import diff
from npc_engine.sheets.lint.models import Models
from npc_engine.sheets.loader import load_sheet
from npc_engine.sheets.templates import template_path
from tests.sheets.lint.conftest import ScriptedNli

OLD = "I have served on this wall for eleven years."
ENTAILMENT, NEUTRAL, CONTRADICTION = 0, 1, 2


@pytest.mark.parametrize(
    ("new", "there", "back", "kind"),
    [
        ("Eleven years on this wall, that is me.", ENTAILMENT, ENTAILMENT, "reworded"),
        ("I came to this wall yesterday.", CONTRADICTION, NEUTRAL, "contradicted"),
        ("I have served somewhere.", ENTAILMENT, NEUTRAL, "changed meaning"),
    ],
)
def test_a_changed_text(new, there, back, kind, tmp_path):
    path = tmp_path / "guard.yaml"
    text = template_path("guard").read_text(encoding="utf-8")
    assert OLD in text
    path.write_text(text.replace(OLD, f'"{new}"'), encoding="utf-8")
    nli = ScriptedNli({(OLD, new): there, (new, OLD): back})
    (change,) = diff(load_sheet(template_path("guard")), load_sheet(path), Models(nli=nli))
    assert (change.kind, change.by, change.key) == (kind, "nli", "service")
