import pytest

from tests.tools.tasks.recorded import write_data
from tools.tasks.calls import Call
from tools.tasks.cpdc import load_part
from tools.tasks.perturb import perturb, renamed_back


@pytest.fixture
def episode(tmp_path):
    return load_part(write_data(tmp_path), "dev-task1")[0]


def names(episode):
    return [function["name"] for function in episode.functions]


def test_nothing_changes(episode):
    assert perturb(episode, None, seed=1).episode == episode


def test_renamed_functions_are_called_by_their_new_names_and_scored_by_their_old(episode):
    changed = perturb(episode, "rename", seed=1)
    assert names(changed.episode) == [f"function_{number}" for number in range(1, 6)]
    assert changed.episode.turns[3].calls[0].name == "function_2"
    assert renamed_back([{"name": "function_2", "arguments": {}}], changed) == [Call(name="sell")]
    assert changed.restored() == episode


def test_reordered_functions_are_the_same_ones(episode):
    changed = perturb(episode, "reorder", seed=1).episode
    assert sorted(names(changed)) == sorted(names(episode))
    assert names(changed) != names(episode)
    assert changed.turns == episode.turns


def test_removed_functions_are_wanted_no_more(episode):
    changed = perturb(episode, "remove", seed=1).episode
    gone = set(names(episode)) - set(names(changed))
    assert len(gone) == 2
    wanted = {call.name for turn in episode.turns for call in turn.calls}
    assert {call.name for turn in changed.turns for call in turn.calls} == wanted - gone


@pytest.mark.parametrize("way", ["rename", "reorder", "remove"])
def test_the_same_seed_gives_the_same_list(episode, way):
    assert perturb(episode, way, seed=3) == perturb(episode, way, seed=3)
