"""What a scenario says, and what its lines expect in the end."""

import pytest
from pydantic import ValidationError

from npc_engine.playtest.scenarios.loading import as_scenario
from npc_engine.playtest.scenarios.schema import Expected, Scenario, Step
from npc_engine.sheets.schema import ScenarioTest


def test_demands_are_of_the_last_reply_and_limits_of_every():
    scenario = Scenario(
        name="prices",
        lines=["Good day.", {"say": "How much?", "never_says": ["free"], "max_words": 5}, "And a sword?"],
        says=[["forty"]],
        facts=["price-sword"],
        never_says=["gold"],
        max_words=20,
    )
    first, second, last = scenario.steps()
    assert (first.never_says, first.max_words, first.says, first.facts) == (("gold",), 20, (), ())
    assert (second.never_says, second.max_words) == (("free", "gold"), 5)
    assert (last.says, last.facts, last.never_says) == ((("forty",),), ("price-sword",), ("gold",))
    assert first.expected.model_fields_set == {"never_says", "max_words"}


def test_a_bare_line_expects_nothing():
    (step,) = Scenario(name="hello", lines=["Hello."]).steps()
    assert step.expected.is_empty
    assert step.expected == Expected()


def test_a_test_of_a_sheet_is_a_scenario():
    test = ScenarioTest(
        name="told", state={"trust": 60}, lines=["Where?"], facts=["home"], says=[["mill"]], action="go"
    )
    scenario = as_scenario(test)
    (step,) = scenario.steps()
    assert (step.facts, step.says, step.action) == (("home",), (("mill",),), "go")
    assert scenario.state.trust == 60


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"lines": ["a"], "arguments": {"n": 1}}, "need an `action`"),
        ({"lines": ["a"], "action": "none", "called": True}, "need an `action`"),
        ({"lines": ["a", {"say": "b", "same_as": 2}]}, "names no line before line 2"),
        ({"lines": [{"say": "a", "result": {"n": 1}, "refused": "no"}]}, "not both"),
        ({"lines": []}, "at least 1"),
        ({"lines": ["a"], "sayz": [["b"]]}, "Extra inputs"),
        ({"lines": ["a"], "needs": 1.5}, "less than or equal to 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(given, problem):
    with pytest.raises(ValidationError, match=problem):
        Scenario(name="x", **given)


def test_arguments_keep_their_types():
    step = Step(say="a", action="sell", arguments={"n": 1, "gift": True, "price": 1.5, "item": "1"})
    assert [type(value) for value in step.arguments.values()] == [int, bool, float, str]
