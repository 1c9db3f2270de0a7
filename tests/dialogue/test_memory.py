import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.dialogue.memory import Exchange, History, Statements, StatementStore


def test_the_newest_exchanges_are_kept_in_order():
    history = History(max_exchanges=3)
    assert (history.last(), history.exchanges) == (None, ())
    for number in range(5):
        history.add(Exchange(player=str(number), reply=""))
    assert [exchange.player for exchange in history.exchanges] == ["2", "3", "4"]
    assert history.last() == Exchange(player="4", reply="")


def test_what_was_handed_out_does_not_change():
    history = History()
    before = history.exchanges
    history.add(Exchange(player="a", reply="b"))
    assert before == ()


@pytest.mark.parametrize(
    ("text", "premise"),
    [
        ("I like blue most of all.", "I like blue most of all."),
        ("Blue.", "Asked “Your colour?” I said: Blue."),
        # Four words, but not about the speaker: nobody could tell what it answers.
        ("The sea in winter.", "Asked “Your colour?” I said: The sea in winter."),
        ("I do.", "Asked “Your colour?” I said: I do."),
    ],
)
def test_a_statement_reads_as_a_claim(text, premise):
    assert Statements().add(question="Your colour?", text=text).as_premise == premise


def test_the_same_claim_is_one_statement():
    statements = Statements()
    first = statements.add(question="Your colour?", text="I like blue most.")
    assert statements.add(question="Which colour?", text="I LIKE blue most.") is first
    yes = [statements.add(question=question, text="Yes.") for question in ("Married?", "Tired?")]
    assert statements.all == (first, *yes)
    assert [statement.id for statement in statements.all] == ["said:1", "said:2", "said:3"]


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 5))
def test_the_newest_statements_are_kept(numbers, limit):
    statements = Statements(max_statements=limit)
    expected: list[str] = []
    ids = set()
    for number in numbers:
        text = f"I have said number {number}."
        ids.add(statements.add(question="?", text=text).id)
        expected = expected if text in expected else [*expected, text][-limit:]
    assert [statement.text for statement in statements.all] == expected
    assert {statement.id for statement in statements.all} <= ids
    assert len({statement.id for statement in statements.all}) == len(expected)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), max_size=30), st.integers(1, 4))
def test_the_pairs_asked_for_last_are_kept(pairs, limit):
    store = StatementStore(max_pairs=limit)
    recent: dict[tuple[str, str], Statements] = {}
    for pair in pairs:
        found = store.of(*pair)
        assert recent.pop(pair, found) is found
        recent[pair] = found
        recent = dict(list(recent.items())[-limit:])
    assert all(store.of(*pair) is statements for pair, statements in recent.items())


def test_what_one_player_was_told_another_was_not():
    store = StatementStore()
    store.of("mara", "anna").add(question="Your colour?", text="Blue.")
    assert store.of("mara", "bert").all == store.of("tobin", "anna").all == ()
    assert len(store.of("mara", "anna").all) == 1


def test_what_is_taken_back_is_forgotten():
    history = History()
    for number in range(3):
        history.add(Exchange(player=str(number), reply=""))
    history.take_back(2)
    assert [exchange.player for exchange in history.exchanges] == ["0"]
    statements = Statements()
    blue, green = (statements.add(question="?", text=text) for text in ("I like blue most.", "I like green most."))
    statements.forget(blue.id)
    statements.forget(blue.id)
    assert statements.all == (green,)
    assert statements.add(question="?", text="I like blue most.").id not in (blue.id, green.id)
