"""What a reply adds to the character."""

import pytest

from npc_engine.dialogue.extending import SAID_SCORE, extension
from npc_engine.dialogue.grounding import Grounding, Premise
from npc_engine.dialogue.open_questions import OPEN_SCORE
from npc_engine.sheets.schema import UnknownTopic

LINE = "What is your favourite colour?"


def found(*premises, topic=None):
    made = tuple(
        Premise(id=str(number), text="", source="", kind=kind, score=score)
        for number, (kind, score) in enumerate(premises)
    )
    return Grounding(premises=made, unknown_topic=topic, num_candidates=0, num_hidden=0)


@pytest.mark.parametrize(
    ("sentences", "kept"),
    [
        (["I like blue."], "I like blue."),
        (["Blue."], "Blue."),
        (["Who asks?", "I like blue.", "I wear it."], "I like blue."),
        (["I don't know."], None),
        (["Good iron never lies to anybody who listens."], None),
        (["You tell me."], None),
        ([], None),
    ],
)
def test_the_first_claim_of_a_reply_is_kept(sentences, kept):
    assert extension(LINE, sentences, found(("fact", OPEN_SCORE - 0.01))) == kept


@pytest.mark.parametrize(
    "grounding",
    [
        found(("fact", OPEN_SCORE)),
        found(("fact", 0.3), ("event", OPEN_SCORE)),
        found(("said", SAID_SCORE)),
        found(topic=UnknownTopic(topic="dragons", keywords=("dragon",))),
    ],
)
def test_what_is_answered_already_extends_nothing(grounding):
    assert extension(LINE, ["I like blue."], grounding) is None


def test_a_statement_about_something_else_does_not_answer():
    assert extension(LINE, ["I like blue."], found(("said", SAID_SCORE - 0.01))) == "I like blue."


def test_a_line_that_asks_nothing_of_her_extends_nothing():
    assert extension("What does a sword cost?", ["I like blue."], found()) is None
