import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from npc_engine.sheets.controls import ROUTE_BOUNDS, ControlOverrides, Controls, ControlValues, Level, Route, resolve

EMPTY = Controls()


def test_with_nothing_set_the_defaults_hold() -> None:
    resolved = resolve(Route.WORLD, sheet=EMPTY)
    assert resolved.values == ControlValues()
    assert set(resolved.levels.values()) == {Level.DEFAULT}


def test_a_task_is_plainer_than_small_talk() -> None:
    task, talk = (resolve(route, sheet=EMPTY).values for route in (Route.TASK, Route.SMALL_TALK))
    assert task.role_play < ControlValues().role_play < talk.role_play
    assert task.quirk_budget == 0


def test_the_nearest_setting_wins_and_says_where_it_came_from() -> None:
    sheet = Controls(max_words=50, synchrony=0.1, routes={Route.TASK: ControlOverrides(max_words=44)})
    engine, talk, turn = (
        ControlOverrides(max_words=60, cooldown_turns=9, task_priority=0.9),
        ControlOverrides(role_play=0.9, task_priority=0.2),
        ControlOverrides(max_words=20),
    )
    assert resolve(Route.WORLD, sheet=EMPTY, engine=engine).values.max_words == 60
    assert resolve(Route.WORLD, sheet=sheet, engine=engine).values.max_words == 50
    assert resolve(Route.TASK, sheet=sheet, engine=engine).values.max_words == 44
    resolved = resolve(Route.TASK, sheet=sheet, engine=engine, conversation=talk, turn=turn)
    assert resolved.levels == {
        "role_play": Level.CONVERSATION,
        "max_words": Level.TURN,
        "max_sentences": Level.DEFAULT,
        "quirk_budget": Level.DEFAULT,
        "cooldown_turns": Level.ENGINE,
        "trait_saturation": Level.DEFAULT,
        "task_priority": Level.CONVERSATION,
        "synchrony": Level.CHARACTER,
    }
    values = resolved.values
    assert (values.max_words, values.role_play, values.cooldown_turns, values.task_priority) == (20, 0.9, 9, 0.2)
    assert resolved.as_data()["levels"]["max_words"] == "turn"


@given(
    st.sampled_from(list(ROUTE_BOUNDS)),
    st.floats(0, 1),
    st.integers(4, 300),
    st.integers(1, 12),
    st.integers(0, 20),
)
def test_a_route_bounds_what_is_set_in_general_and_nothing_nearer(
    route: Route, role_play: float, max_words: int, max_sentences: int, quirk_budget: int
) -> None:
    given_values = ControlOverrides(
        role_play=role_play, max_words=max_words, max_sentences=max_sentences, quirk_budget=quirk_budget
    )
    bounds = ROUTE_BOUNDS[route]
    general = resolve(route, sheet=Controls(**given_values.model_dump())).values
    assert general.max_words == min(max_words, bounds.max_words or 300)
    assert general.quirk_budget <= quirk_budget
    assert 0 <= general.role_play <= 1
    near = resolve(route, sheet=Controls(routes={route: given_values})).values
    assert (near.role_play, near.max_words, near.max_sentences, near.quirk_budget) == (
        role_play,
        max_words,
        max_sentences,
        quirk_budget,
    )


def test_changes_replace_what_they_name_and_none_gives_a_control_back() -> None:
    talk = ControlOverrides(max_words=20, role_play=0.9)
    changed = talk.changed(ControlOverrides(max_words=30, synchrony=0.5))
    assert (changed.max_words, changed.role_play, changed.synchrony) == (30, 0.9, 0.5)
    assert changed.changed(ControlOverrides(max_words=None)).max_words is None
    assert changed.changed(ControlOverrides()) == changed


@pytest.mark.parametrize("wrong", [{"role_play": 1.2}, {"max_words": 0}, {"quirks": 1}, {"max_sentences": "two"}])
def test_a_value_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ControlOverrides.model_validate(wrong)
