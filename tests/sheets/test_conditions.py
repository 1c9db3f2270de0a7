import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from npc_engine.errors import InvalidState, SheetCondition
from npc_engine.sheets.conditions import (
    MAX_CONDITION_CHARS,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    GameState,
    Has,
    Node,
    Not,
    parse_condition,
)

STATE = GameState.parse(
    {"trust": 40, "quests": {"siege": 2}, "place": "forge", "factions": ["guild"], "hour": 21, "flags": ["rain"]}
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("trust >= 40", True),
        ("trust > 40", False),
        ("quest('siege') >= 2", True),
        ("quest('unheard of') >= 1", False),
        ("quest('unheard of') == 0", True),
        ("place == 'forge'", True),
        ('place != "forge"', False),
        ("faction('guild')", True),
        ("flag('snow')", False),
        ("hour >= 22 or hour < 5", False),
        ("hour >= 20 and not flag('snow')", True),
        ("trust >= 90 or flag('rain') and place == 'forge'", True),
        ("(trust >= 90 or flag('rain')) and place == 'inn'", False),
        ("not not flag('rain')", True),
    ],
)
def test_holds(text: str, holds: bool) -> None:
    assert parse_condition(text).holds(STATE) is holds


@pytest.mark.parametrize("text", ["hour < 6", "not hour < 6", "place != 'forge'", "not (place == 'forge')"])
def test_what_the_game_has_not_told_never_holds(text: str) -> None:
    assert not parse_condition(text).holds(GameState())


def test_an_unknown_part_does_not_spoil_a_decided_whole() -> None:
    assert parse_condition("hour < 6 or trust >= 0").holds(GameState())
    assert parse_condition("not (hour < 6 and trust >= 90)").holds(GameState())


def test_both_holds_where_each_does() -> None:
    both = parse_condition("trust >= 90 or flag('rain')").both(parse_condition("place == 'inn'"))
    assert both.text == "(trust >= 90 or flag('rain')) and place == 'inn'"
    assert parse_condition("flag('rain')").both(None).text == "flag('rain')"


@pytest.mark.parametrize(
    ("text", "column", "hint"),
    [
        ("trust = 40", 7, "did you mean `==`?"),
        ("trst >= 40", 1, "did you mean `trust`?"),
        ("time >= 6", 1, "did you mean `hour`?"),
        ("trust >= 40 && flag('x')", 13, "did you mean `and`?"),
        ("!flag('x')", 1, "did you mean `not`?"),
        ("trust >= 400", 10, "a value the game can reach"),
        ("trust >= " + "9" * 200, 10, "a value the game can reach"),
        ("hour == 24", 9, "a value the game can reach"),
        ("quest('siege')", 15, "quest('siege') >= 1"),
        ("quest >= 2", 7, "write quest('siege')"),
        ("faction(guild)", 9, "write faction('siege')"),
        ("place == forge", 10, "write place == 'forge'"),
        ("place >= 'forge'", 7, "place == 'forge'"),
        ("flag('x", 6, "trust >= 40"),
        ("flag('')", 6, "flag('siege')"),
        ("flag('x'))", 10, "trust >= 40"),
        ("(trust >= 1", 12, "trust >= 40"),
        ("trust >= 1 trust >= 2", 12, "trust >= 40"),
        ("and", 1, "trust >= 40"),
        ("", 1, "trust >= 40"),
        ("__import__('os')", 1, "the names are"),
        ("not " * 9 + "flag('x')", 37, "simpler"),
        ("x" * (MAX_CONDITION_CHARS + 1), 1, "flag"),
    ],
)
def test_what_does_not_parse_says_where_and_what_to_write(text: str, column: int, hint: str) -> None:
    with pytest.raises(SheetCondition) as caught:
        parse_condition(text)
    assert caught.value.column == column
    assert hint in caught.value.hint


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="'\"\r\n"), min_size=1, max_size=8)
ATOMS: st.SearchStrategy[Node] = st.one_of(
    st.builds(
        Compare, st.just("trust"), st.sampled_from(["==", "!=", ">=", "<=", ">", "<"]), st.integers(0, 100), st.just("")
    ),
    st.builds(Compare, st.just("hour"), st.sampled_from(["<", ">="]), st.integers(0, 23), st.just("")),
    st.builds(Compare, st.just("quest"), st.just(">="), st.integers(0, 9), NAMES),
    st.builds(Compare, st.just("place"), st.sampled_from(["==", "!="]), NAMES, st.just("")),
    st.builds(Has, st.sampled_from(["faction", "flag"]), NAMES),
    st.builds(Has, st.just("flag"), st.just("Ambrose's key")),
)
TREES: st.SearchStrategy[Node] = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(AllOf, st.tuples(inner, inner)),
        st.builds(AnyOf, st.tuples(inner, inner)),
    ),
    max_leaves=5,
)


@given(TREES)
def test_printing_and_parsing_give_the_same_condition(root: Node) -> None:
    condition = Condition(root)
    assume(len(condition.text) <= MAX_CONDITION_CHARS)
    assert parse_condition(condition.text) == condition


PIECES = st.sampled_from(
    ["trust", "hour", "quest", "(", ")", "'a'", ">=", "=", "40", "and", "or", "not", " ", "flag", "'"]
)


@given(st.one_of(st.text(max_size=400), st.lists(PIECES, max_size=30).map("".join)))
def test_any_text_gives_a_condition_or_a_located_error(text: str) -> None:
    error: SheetCondition | None = None
    try:
        holds = parse_condition(text).holds(STATE)
    except SheetCondition as caught:
        error = caught
    if error is None:
        assert isinstance(holds, bool)
    else:
        assert 1 <= (error.column or 0) <= len(text) + 1
        assert error.hint


@pytest.mark.parametrize(
    ("mapping", "named"),
    [
        ({"trst": 3}, "did you mean 'trust'"),
        ({"trust": "high"}, "trust"),
        ({"trust": 101}, "trust"),
        ({"trust": True}, "trust"),
        ({"quests": {"siege": -1}}, "quests.siege"),
        ({"quests": ["siege"]}, "quests"),
        ({"flags": "rain"}, "flags"),
        ({"factions": [3]}, "factions"),
        ({"place": "x" * 65}, "place"),
        ({"hour": 24}, "hour"),
        ({3: 4}, "3"),
    ],
)
def test_a_wrong_state_names_its_key(mapping: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidState, match=named):
        GameState.parse(mapping)


def test_an_update_replaces_the_keys_it_gives() -> None:
    updated = STATE.updated({"quests": {"iron": 1}, "hour": None})
    assert updated.quests == {"iron": 1}
    assert updated.hour is None
    assert updated.trust == 40
    with pytest.raises(InvalidState):
        STATE.updated({"trust": -1})
