from tests.tools.tasks.recorded import write_data
from tools.tasks.calls import Call
from tools.tasks.cpdc import load_part
from tools.tasks.procedures import functions_key, learn, violations

NEEDS = {"sell": frozenset({"ask"}), "equip": frozenset({"ask", "sell"})}


def call(name, item="Bow"):
    return Call(name=name, arguments={"item": item})


def test_what_gold_never_leaves_out_is_needed(tmp_path):
    (episode,) = load_part(write_data(tmp_path), "dev-task1")
    assert learn([episode])[functions_key(episode)] == {
        "sell": {"sell_request_confirm"},
        "equip": {"sell_request_confirm", "sell"},
    }


def test_a_lookup_is_no_step(tmp_path):
    (episode,) = load_part(write_data(tmp_path), "dev-task1")
    assert all("check_price" not in needs for needs in learn([episode])[functions_key(episode)].values())


def test_a_step_left_out_is_a_violation():
    assert violations([call("sell")], earlier=[], needs=NEEDS) == [call("sell")]
    assert violations([call("sell")], earlier=[call("ask")], needs=NEEDS) == []


def test_steps_within_the_turn_count():
    assert violations([call("ask"), call("sell"), call("equip")], earlier=[], needs=NEEDS) == []
    assert violations([call("sell"), call("ask")], earlier=[], needs=NEEDS) == [call("sell")]


def test_another_items_step_does_not_serve():
    assert violations([call("sell", "Bow")], earlier=[call("ask", "Lance")], needs=NEEDS) == [call("sell", "Bow")]


def test_arguments_that_only_one_has_do_not_matter():
    asked = Call(name="ask", arguments={"customer": "Lyrien"})
    assert violations([call("sell")], earlier=[asked], needs=NEEDS) == []


def test_a_list_serves_each_of_its_items():
    asked = Call(name="ask", arguments={"item": ["Lance", "Bow"]})
    assert violations([call("sell")], earlier=[asked], needs=NEEDS) == []
