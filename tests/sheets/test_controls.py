import pytest
from pydantic import ValidationError

from npc_engine.sheets.controls import ControlOverrides, Controls, ControlValues, Route


def test_an_empty_sheet_leaves_the_engine_s_values() -> None:
    assert Controls().at(Route.WORLD) == ControlValues()


def test_a_task_is_plainer_than_small_talk() -> None:
    assert Controls().at(Route.TASK).role_play < Controls().at(Route.SMALL_TALK).role_play


def test_the_nearest_setting_wins() -> None:
    controls = Controls(max_words=50, routes={Route.TASK: ControlOverrides(max_words=40)})
    conversation, turn = ControlOverrides(max_words=30, role_play=0.9), ControlOverrides(max_words=20)
    assert controls.at(Route.WORLD).max_words == 50
    assert controls.at(Route.TASK).max_words == 40
    assert controls.at(Route.TASK, conversation).max_words == 30
    values = controls.at(Route.TASK, conversation, turn)
    assert (values.max_words, values.role_play) == (20, 0.9)


@pytest.mark.parametrize("wrong", [{"role_play": 1.2}, {"max_words": 0}, {"quirks": 1}, {"max_sentences": "two"}])
def test_a_value_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ControlOverrides.model_validate(wrong)
