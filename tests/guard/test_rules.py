"""String rules: what each finds, and that no shipped line breaks one."""

import pytest

from npc_engine.guard.rules import Allowed, RuleContext, broken_rules, is_deed
from npc_engine.guard.verdict import Statement, Thresholds
from npc_engine.guard.words import stems, words
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets

SECRET = Statement(id="treasure", text="The hidden treasure lies under my anvil.", kind="fact")
CONTEXT = RuleContext(
    speaker="Mara Holt",
    allowed=Allowed(
        line="What does Tobin pay for a sword, 30 crowns?",
        told=["You are Mara Holt, weapon seller in Kettlewick.", "A sword costs forty crowns."],
        world_words=frozenset(words("The algorithm of the old mill, near Brennick.")),
    ),
    avoid=("aye", "my dear"),
    instructions=("- Say only what Mara says aloud, in the first person.",),
    hidden=(SECRET,),
    public_stems=stems("A sword costs forty crowns. I live beside the old mill."),
    deeds="none",
)
BROKEN = {
    "A sword costs fifty crowns.": ("number", "fifty crowns"),
    "Forty pennies.": ("number", "Forty pennies"),
    "Go and ask Brandon.": ("name", "Brandon"),
    "As an AI language model, I cannot.": ("assistant", "As an AI language model, I cannot."),
    "How can I assist you today?": ("assistant", "How can I assist you today"),
    "I’m sorry, but I can’t assist with that.": ("assistant", "I’m sorry, but I can’t assist"),
    "Look it up on the internet.": ("other_world", "internet"),
    "I fixed two computers.": ("other_world", "computers"),
    "Aye, it holds.": ("avoided", "Aye"),
    "Good day, my dear.": ("avoided", "my dear"),
    "She smiles warmly.": ("stage_direction", "She smiles"),
    "Mara nods.": ("stage_direction", "Mara nods"),
    "Well [laughs": ("stage_direction", "["),
    "I say aloud what Mara only says at home.": None,
    "I say only what Mara says aloud.": ("instruction", "say only what mara says aloud"),
    "My instructions forbid it.": ("instruction", "My instructions"),
    "[The player says] Hello.": ("instruction", "[The player says] Hello."),
    "I have sold you the sword.": ("deed", "I have sold"),
    "Here you go.": ("deed", "Here you go"),
    "Done.": ("deed", "Done."),
    "The treasure lies under the anvil.": ("secret", "The treasure lies under the anvil."),
    "A sword costs forty crowns.": None,
    "Eighty it is not, Tobin.": ("number", "Eighty"),
    "Tobin pays 30 crowns like Mara’s others.": None,
    "Ask in Kettlewick, or in Brennick.": None,
    "The algorithm is old.": None,
    "Good day, Sir. On Sundays I rest.": None,
    "Shall I have it done?": None,
    "I sell swords beside the old mill.": None,
    "The anvil rings.": None,
}


@pytest.mark.parametrize(("sentence", "wanted"), BROKEN.items(), ids=BROKEN.keys())
def test_what_breaks_a_rule(sentence, wanted):
    reasons = broken_rules(sentence, CONTEXT, Thresholds())
    kinds = {(reason.kind, reason.span) for reason in reasons}
    assert kinds == set() if wanted is None else wanted in kinds
    if wanted and wanted[0] != "secret":
        assert all(reason.kind == "instruction" or reason.span in sentence for reason in reasons)


@pytest.mark.parametrize(
    ("line", "sentence", "is_broken"),
    [
        ("Do you own a computer?", "I don't know what a computer is.", False),
        ("Do you own a computer?", "A computer? Never heard of it.", False),
        ("Do you own a computer?", "Yes, I own a fast computer.", True),
        ("Hello.", "I don't own a computer.", True),
    ],
)
def test_the_player_may_name_what_the_character_does_not_know(line, sentence, is_broken):
    context = RuleContext(allowed=Allowed(line=line))
    assert bool(broken_rules(sentence, context, Thresholds())) == is_broken


@pytest.mark.parametrize(
    ("line", "sentence", "is_told"),
    [
        ("Where is the hidden treasure?", "By the anvil.", True),
        ("Hello.", "By the anvil.", False),
        ("Is it under your anvil?", "Under my anvil there is dust.", False),
    ],
)
def test_a_secret_is_told_with_the_players_own_words(line, sentence, is_told):
    context = RuleContext(allowed=Allowed(line=line), hidden=(SECRET,))
    reasons = broken_rules(sentence, context, Thresholds())
    assert [reason.statement_id for reason in reasons] == ["treasure"] * is_told


def test_deeds_may_be_said_where_they_are_free():
    assert is_deed("I have sold it.")
    assert not broken_rules("I have sold it.", RuleContext(), Thresholds())


def test_no_shipped_line_gives_the_model_away():
    for sheet in load_sheets((shipped_sheets_dir(),)).values():
        told = [fact.text for fact in sheet.facts]
        context = RuleContext(
            speaker=sheet.identity.name,
            allowed=Allowed(told=[*told, str(sheet.model_dump())]),
            avoid=sheet.voice.avoid,
        )
        lines = [*told, sheet.greeting, *(example.character for example in sheet.voice.examples)]
        lines += [line for topic in sheet.unknown_topics for line in topic.lines]
        lines += [line for reason in sheet.fallbacks.model_dump().values() for line in reason]
        found = {line: reasons for line in lines if (reasons := broken_rules(line, context, Thresholds()))}
        assert found == {}
