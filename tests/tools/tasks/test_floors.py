from tests.tools.tasks.recorded import write_data
from tools.tasks.calls import Call
from tools.tasks.cpdc import load_part
from tools.tasks.floors import Neighbours, fixed, last_named


def test_the_fixed_floor_calls_nothing():
    assert fixed().calls == ()
    assert fixed().reply


def test_the_nearest_line_lends_its_call_and_reply(tmp_path):
    data = write_data(tmp_path)
    (dev,) = load_part(data, "dev-task1")
    guess = Neighbours(load_part(data, "tune")).guess(dev, 2)
    # "I'll take it." is nearest to "I'll take the Long Bow."; `sell` wants a list here.
    assert guess.calls == (Call(name="sell", arguments={"item_names": ["Long Bow"]}),)
    assert guess.reply == "It is yours."


def test_a_dialogue_does_not_remember_itself(tmp_path):
    (dev,) = load_part(write_data(tmp_path), "dev-task1")
    memory = Neighbours([dev])
    assert memory.guess(dev, 1).reply == dev.turns[1].reply
    assert memory.guess(dev, 1, leave_out=dev.id).reply == dev.turns[0].reply  # nothing else: the first by default


def test_the_item_named_last(tmp_path):
    (dev,) = load_part(write_data(tmp_path), "dev-task1")
    assert last_named(dev, 0) is None
    assert last_named(dev, 1) == last_named(dev, 4) == "Long Bow"
