import pytest

from tests.tools.tasks.recorded import write_data
from tools.tasks.calls import Call
from tools.tasks.cpdc import load_part
from tools.tasks.game import answer, as_result


@pytest.fixture
def episode(tmp_path):
    return load_part(write_data(tmp_path), "dev-task1")[0]


def test_golds_call_gets_golds_answer_in_any_turn(episode):
    call = Call(name="check_price", arguments={"item_name": "long bow"})
    assert answer(call, episode, number=1) == {"price": "300 Gold"}
    assert answer(call, episode, number=4) == {"price": "300 Gold"}


def test_another_call_gets_the_item_it_names(episode):
    found = answer(Call(name="check_attack", arguments={"item_name": "Short Sword"}), episode, number=0)
    assert found == {"name": "Short Sword", "type": "Sword", "description": "A light sword."}
    by_type = answer(Call(name="search_item", arguments={"item_type": "bow"}), episode, number=0)
    assert by_type["name"] == "Long Bow"


def test_what_fits_nothing_is_empty(episode):
    assert answer(Call(name="check_price", arguments={"item_name": "Sling"}), episode, number=1) == {}


@pytest.mark.parametrize(
    ("recorded", "sent"),
    [
        ([], {}),
        (None, {}),
        ("", {}),
        ("Done", {"result": "Done"}),
        ({"a": 1}, {"a": 1}),
        ([{"a": 1}], {"a": 1}),
        ([{"a": 1}, {"a": 2}], {"results": [{"a": 1}, {"a": 2}]}),
    ],
)
def test_answers_as_maps(recorded, sent):
    assert as_result(recorded) == sent
