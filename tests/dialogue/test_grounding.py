"""What may be said now: conditions, ranking, events, relationships, unknown topics."""

import asyncio
import json
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npc_engine.config import load_config
from npc_engine.dialogue.extending import extension
from npc_engine.dialogue.grounding import LOAD_BLOCK, MAX_PREMISES, MIN_SCORE, Grounder, WorldEvent, best
from npc_engine.dialogue.memory import Statements
from npc_engine.dialogue.prompt import PromptBuilder
from npc_engine.dialogue.trace import Trace
from npc_engine.errors import ModelError
from npc_engine.inference.encoder import SentenceEncoder
from npc_engine.models.installed import find_installed
from npc_engine.models.tokenizer import ChatTokenizer
from npc_engine.playtest.material import load_open, load_rewordings
from npc_engine.sheets.conditions import GameState
from npc_engine.sheets.controls import ControlValues
from npc_engine.sheets.fields import Fact
from npc_engine.sheets.library import shipped_sheets_dir
from npc_engine.sheets.loader import load_sheets
from npc_engine.sheets.questions import load_questions
from tests.talk import SETTINGS, EngineConfig

SHEETS = load_sheets([shipped_sheets_dir()])
QUESTIONS = {path.stem: load_questions(path) for path in (shipped_sheets_dir() / "questions").glob("*.yaml")}
# What the shipped conditions speak of, so that they hold about as often as not.
STATES = st.builds(
    GameState,
    trust=st.integers(0, 100),
    hour=st.none() | st.integers(0, 23),
    place=st.none() | st.sampled_from(["smithy", "inn"]),
    factions=st.frozensets(st.sampled_from(["guild", "watch"])),
    flags=st.frozensets(st.sampled_from(["new_bell", "rain"])),
    quests=st.dictionaries(st.sampled_from(["stolen_iron", "stair"]), st.integers(0, 5)),
)


@pytest.fixture(scope="module")
def encoder(word_encoder):
    return SentenceEncoder.load(word_encoder, config=EngineConfig(**SETTINGS))


@pytest.fixture(scope="module")
def grounders(encoder):
    return {name: Grounder(sheet, encoder) for name, sheet in SHEETS.items()}


@pytest.fixture(scope="module")
def prompts(reciter):
    tokenizer = ChatTokenizer.load(reciter("Well."))
    return {name: PromptBuilder(sheet, tokenizer, max_context_tokens=12288) for name, sheet in SHEETS.items()}


def ground(grounder, encoder, line, *, state=None, events=(), said_before=(), statements=()):
    embedding = encoder.embed([line])[0]
    return asyncio.run(
        grounder.ground(
            line,
            embedding,
            said_before=said_before,
            state=state or GameState(),
            events=events,
            statements=statements,
        )
    )


def said(*pairs):
    statements = Statements()
    for question, text in pairs:
        statements.add(question=question, text=text)
    return statements.all


def written(prompts, line, grounding):
    """The whole prompt and the trace as text."""
    prompt = prompts.speech(
        line,
        exchanges=(),
        premises=grounding.premises,
        directives=(),
        controls=ControlValues(),
        max_new_tokens=64,
    )
    trace = Trace()
    trace.grounding(grounding)
    return prompts._tokenizer.raw.decode(list(prompt.ids), skip_special_tokens=False), json.dumps(trace.data)


# --- conditions --------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(sorted(SHEETS)), state=STATES, data=st.data())
def test_what_its_condition_hides_is_nowhere(grounders, prompts, encoder, name, state, data):
    sheet = SHEETS[name]
    conditional = [fact for fact in sheet.facts if fact.when is not None]
    asked_of = data.draw(st.sampled_from(conditional))
    line = data.draw(st.sampled_from([asked_of.text, " ".join(asked_of.tags) or asked_of.text]))
    grounding = ground(grounders[name], encoder, line, state=state)
    prompt, trace = written(prompts[name], "Well?", grounding)
    for fact in conditional:
        if not fact.when.holds(state):
            assert fact.text not in prompt
            assert json.dumps(fact.text) not in trace
            assert f'"{fact.id}"' not in trace
    assert grounding.num_hidden == sum(not fact.when.holds(state) for fact in conditional)
    if asked_of.when.holds(state) and line == asked_of.text:
        assert asked_of.text in prompt


@pytest.mark.parametrize("name", sorted(SHEETS))
def test_no_question_draws_a_secret_out_for_a_stranger(grounders, prompts, encoder, name):
    sheet = SHEETS[name]
    secrets = [fact for fact in sheet.facts if fact.secret]
    lines = [question.question for question in QUESTIONS[name].questions]
    lines += [text for fact in secrets for text in (fact.text, *fact.tags)]
    assert secrets
    for line in lines:
        prompt, trace = written(prompts[name], "Well?", ground(grounders[name], encoder, line))
        for fact in secrets:
            assert fact.text not in prompt
            assert json.dumps(fact.text) not in trace


# --- ranking -----------------------------------------------------------------------------------


def test_premises_are_few_and_best_first(grounders, encoder):
    for question in QUESTIONS["hesta"].questions:
        grounding = ground(grounders["hesta"], encoder, question.question, state=question.state)
        scores = [premise.score for premise in grounding.premises]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) <= MAX_PREMISES
        assert min(scores, default=MIN_SCORE) >= MIN_SCORE


@given(
    scores=st.lists(st.sampled_from([-0.5, 0.0, MIN_SCORE, 0.3, 0.5, 0.5, 0.9, 1.3]), max_size=30),
    hidden=st.sets(st.integers(0, 29)),
)
def test_the_best_are_those_of_a_plain_sort(scores, hidden):
    allowed = np.array([row not in hidden for row in range(len(scores))], bool)
    array = np.array(scores, np.float32)
    rows = [row for row in range(len(scores)) if row not in hidden and array[row] >= np.float32(MIN_SCORE)]
    assert best(array, allowed=allowed) == sorted(rows, key=lambda row: -array[row])[:MAX_PREMISES]
    assert best(array) == best(array, allowed=np.ones(len(scores), bool))


def test_facts_that_contradict_each_other_are_both_shown(sheet, encoder):
    facts = (*sheet.facts, Fact(id="price-sword-again", text="A sword costs sixty crowns."))
    grounding = ground(Grounder(sheet.model_copy(update={"facts": facts}), encoder), encoder, "What does a sword cost?")
    trace = Trace()
    trace.grounding(grounding)
    assert {"price-sword", "price-sword-again"} <= {premise["id"] for premise in trace.data["premises"]}


def test_a_fact_is_found_among_many_and_loading_says_how_far_it_is(sheet, encoder, caplog):
    facts = [Fact(id=f"sword-{price}", text=f"Sword number {price} costs {price} crowns.") for price in range(1201)]
    condition = next(fact.when for fact in sheet.facts if fact.id == "treasure")
    facts[700] = facts[700].model_copy(update={"when": condition})
    with caplog.at_level(logging.INFO, logger="npc_engine.dialogue.grounding"):
        grounder = Grounder(sheet.model_copy(update={"facts": tuple(facts)}), encoder)
    assert [record.args[1] for record in caplog.records] == [0, LOAD_BLOCK, 2 * LOAD_BLOCK]
    line = "What does sword number 700 cost?"
    known = ground(grounder, encoder, line, state=GameState(trust=50))
    assert (known.premises[0].id, known.num_candidates, known.num_hidden) == ("sword-700", 1201, 0)
    hidden = ground(grounder, encoder, line)
    assert "sword-700" not in [premise.id for premise in hidden.premises]
    assert (len(hidden.premises), hidden.num_candidates, hidden.num_hidden) == (MAX_PREMISES, 1200, 1)


# --- what was said before ------------------------------------------------------------------------


def test_a_statement_answers_its_question_when_it_comes_again(sheet, encoder):
    grounder = Grounder(sheet, encoder)
    statements = said(("Do you like the river?", "I like it well."), ("Which bell is old?", "Blue."))
    first = ground(grounder, encoder, "Do you like the river?", statements=statements).premises[0]
    assert (first.id, first.kind, first.source, first.text) == ("said:1", "said", "said", "I like it well.")
    assert "said:1" not in [p.id for p in ground(grounder, encoder, "Do you like the river?").premises]
    bare = ground(grounder, encoder, "Which bell is old?", statements=statements).premises[0]
    assert bare.text == "Asked “Which bell is old?” I said: Blue."


def test_the_sheet_stands_before_what_was_said(sheet, encoder):
    line = "What does a sword cost?"
    statements = said((line, "A sword costs nine crowns."))
    premises = ground(Grounder(sheet, encoder), encoder, "A sword costs forty crowns?", statements=statements).premises
    assert premises[0].id == "price-sword"
    assert "said:1" in [premise.id for premise in premises]


def test_a_statement_does_not_make_an_unknown_topic_known(sheet, encoder):
    line = "Have you seen a dragon?"
    grounding = ground(Grounder(sheet, encoder), encoder, line, statements=said((line, "I saw one.")))
    assert grounding.unknown_topic.topic == "dragons"


def test_a_facts_own_words_find_it(grounders, encoder):
    for fact in SHEETS["corin"].facts:
        if fact.when is None:
            premises = ground(grounders["corin"], encoder, fact.text).premises
            assert fact.id in [premise.id for premise in premises[:2]]


def test_what_was_said_before_helps_a_line_that_cannot_stand_alone(sheet, encoder):
    grounder = Grounder(sheet, encoder)
    alone = ground(grounder, encoder, "How much is it?")
    after = ground(grounder, encoder, "How much is it?", said_before=("Show me a sword.", "A blade it is."))
    assert "price-sword" not in [premise.id for premise in alone.premises]
    assert after.premises[0].id == "price-sword"


def test_an_event_takes_part_like_a_fact(sheet, encoder):
    events = [WorldEvent(id="event:1", text="The sword broke."), WorldEvent(id="event:2", text="Rain fell.")]
    grounding = ground(Grounder(sheet, encoder), encoder, "Is the sword broke?", events=events)
    assert grounding.premises[0].id == "event:1"
    assert (grounding.premises[0].kind, grounding.premises[0].source) == ("event", "game")
    assert "event:2" not in [premise.id for premise in grounding.premises]


@pytest.mark.parametrize(("line", "is_named"), [("How is Tobin?", True), ("Is Reed here?", True), ("Who?", False)])
def test_relationships_join_where_the_line_names_them(sheet, encoder, line, is_named):
    found = [p for p in ground(Grounder(sheet, encoder), encoder, line).premises if p.kind == "relationship"]
    assert [premise.text for premise in found] == ["Tobin Reed is my brother. Misses him."] * is_named


@pytest.mark.parametrize(
    ("line", "topic"),
    [
        ("Have you seen a dragon?", "dragons"),
        ("DRAGONS!", "dragons"),
        ("What does a sword cost?", None),
        # A fact that answers the line wins over a word that gives a topic away.
        ("A sword costs forty crowns, dragon.", None),
    ],
)
def test_unknown_topics(sheet, encoder, line, topic):
    found = ground(Grounder(sheet, encoder), encoder, line).unknown_topic
    assert (found.topic if found else None) == topic


def test_a_line_like_an_example_gives_the_topic_away(tmp_path, encoder):
    sheet = SHEETS["hesta"]
    grounder = Grounder(sheet, encoder)
    assert ground(grounder, encoder, "Who has the queen's ear?").unknown_topic.topic == "court politics"


def test_an_empty_character_grounds_nothing(sheet, encoder):
    empty = sheet.model_copy(update={"facts": (), "unknown_topics": (), "relationships": ()})
    grounding = ground(Grounder(empty, encoder), encoder, "What does a sword cost?")
    assert (grounding.premises, grounding.unknown_topic, grounding.num_candidates) == ((), None, 0)


# --- the real encoder ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_encoder():
    config = load_config(device="cpu")
    try:
        folder = find_installed("encoder", config.cache_dir).path
    except ModelError as error:
        pytest.skip(f"the model `encoder` is not usable: {error.message}")
    return SentenceEncoder.load(folder, config=config)


@pytest.mark.model
@pytest.mark.parametrize("name", sorted(SHEETS))
def test_the_questions_find_their_facts(real_encoder, name):
    grounder = Grounder(SHEETS[name], real_encoder)
    missed = []
    for question in QUESTIONS[name].questions:
        grounding = ground(grounder, real_encoder, question.question, state=question.state)
        if question.fact not in [premise.id for premise in grounding.premises]:
            missed.append(question.question)
    assert len(missed) <= 1, missed


@pytest.mark.model
@pytest.mark.parametrize("name", sorted(SHEETS))
def test_other_words_find_the_same_facts(real_encoder, name):
    grounder = Grounder(SHEETS[name], real_encoder)
    again = load_rewordings(shipped_sheets_dir(), name)
    missed = []
    for question in QUESTIONS[name].questions:
        grounding = ground(grounder, real_encoder, again[question.fact], state=question.state)
        if question.fact not in [premise.id for premise in grounding.premises]:
            missed.append(again[question.fact])
    assert len(missed) <= 1, missed


@pytest.mark.model
@pytest.mark.parametrize("name", sorted(SHEETS))
def test_what_was_said_is_found_by_other_words(real_encoder, name):
    grounder = Grounder(SHEETS[name], real_encoder)
    pairs = load_open().questions
    statements = said(*((one, f"{one.split()[-1][:-1]}.") for one, _ in pairs))
    missed = []
    for (_, again), statement in zip(pairs, statements, strict=True):
        found = [
            p.id for p in ground(grounder, real_encoder, again, statements=statements).premises if p.kind == "said"
        ]
        if found[:1] != [statement.id]:
            missed.append(again)
    assert len(missed) <= 1, missed


@pytest.mark.model
@pytest.mark.parametrize("name", sorted(SHEETS))
def test_open_questions_extend_a_character_and_answered_ones_do_not(real_encoder, name):
    grounder = Grounder(SHEETS[name], real_encoder)
    extended = [extension(one, ["I do."], ground(grounder, real_encoder, one)) for one, _ in load_open().questions]
    answered = [
        extension(one.question, ["I do."], ground(grounder, real_encoder, one.question, state=one.state))
        for one in QUESTIONS[name].questions
    ]
    assert sum(found is not None for found in extended) >= 15
    # One of eight over the first three characters (docs/log.md, "Which questions are open"); the fact stays before it.
    assert sum(found is not None for found in answered) <= 4
