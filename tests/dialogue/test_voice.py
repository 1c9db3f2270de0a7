import pytest

from npc_engine.dialogue.memory import Exchange
from npc_engine.dialogue.voice import ALPHA, DEAD_BAND, Voice, VoiceControl, heard
from npc_engine.guard.flanderization import flanderization_index
from npc_engine.sheets.controls import ControlValues, Route
from tests.talk import mara

CATCHPHRASE, QUIRK = "Iron never sleeps.", "taps her hammer on the anvil"
LOUD, CALM = "HEY YOU!!! GIMME THAT SWORD LOL!!!", "I would like to see a sword, please."
PLAIN = "A sword costs forty crowns."


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    person = f"personality:\n  quirks: [{QUIRK}]\n  catchphrases: [{CATCHPHRASE}]\nvoice:"
    return Voice(mara(tmp_path_factory.mktemp("sheet"), ("voice:", person)))


def talk(*replies, line=CALM):
    return [Exchange(player=line, reply=reply) for reply in replies]


def control(voice, *exchanges, route=Route.SMALL_TALK, line=CALM, **values):
    return VoiceControl(voice, controls=ControlValues(**values), route=route, exchanges=exchanges, line=line)


def kinds(control, sentence):
    return [reason.kind for reason in control.objections(sentence)]


# --- quirk_budget, cooldown_turns --------------------------------------------------------------------


def test_a_catchphrase_may_show_until_the_budget_is_spent(voice):
    fresh = control(voice, quirk_budget=1)
    assert kinds(fresh, CATCHPHRASE) == []
    fresh.count(CATCHPHRASE)
    assert fresh.is_spent
    assert kinds(fresh, "As I say, iron never sleeps.") == ["quirk"]
    assert kinds(fresh, PLAIN) == []


@pytest.mark.parametrize("turns_ago", [1, 2, 3, 4])
def test_one_that_was_shown_counts_for_the_cooldown(voice, turns_ago):
    exchanges = talk(CATCHPHRASE, *[PLAIN] * (turns_ago - 1))
    now = control(voice, *exchanges, quirk_budget=1, cooldown_turns=2)
    assert now.is_spent == (turns_ago <= 2)


def test_without_a_budget_nothing_may_show_and_a_quirk_counts_too(voice):
    assert kinds(control(voice, quirk_budget=0), "Wait while I tap my hammer.") == ["quirk"]
    two = control(voice, *talk(f"{CATCHPHRASE} Wait while I tap my hammer."), quirk_budget=3, cooldown_turns=1)
    assert two.heard.num_shown == 2
    assert not two.is_spent


def test_what_a_premise_says_may_be_answered_with(voice):
    spent = control(voice, quirk_budget=0)
    spent.excuse(["My hammer lies on the anvil."])
    assert kinds(spent, "The hammer is on the anvil.") == []
    assert kinds(spent, CATCHPHRASE) == ["quirk"]


def test_a_quirk_is_offered_only_while_the_budget_has_room(voice):
    def offers(**values):
        return any(CATCHPHRASE in one or QUIRK in one for one in control(voice, **values).directives(pick=0))

    assert offers(quirk_budget=1, role_play=0.8)
    assert not offers(quirk_budget=0, role_play=0.8)
    assert not offers(quirk_budget=1, role_play=0.2)
    assert not any(True for _ in control(voice, route=Route.TASK, role_play=0.8).directives(pick=0))


# --- trait_saturation --------------------------------------------------------------------------------


def test_saturation_is_the_moving_average_of_the_index(voice):
    replies = [CATCHPHRASE, PLAIN, CATCHPHRASE]
    expected = 0.0
    for reply in replies:
        expected += ALPHA * (flanderization_index(reply, voice.lexicon) - expected)
    now = heard(talk(*replies), CALM, voice, cooldown_turns=4)
    assert now.saturation == pytest.approx(expected)
    assert 0 < now.saturation < 1


def test_over_the_cap_a_trait_is_rejected_and_the_prompt_asks_for_plain_words(voice):
    loud = control(voice, *talk(*[CATCHPHRASE] * 3), quirk_budget=20, trait_saturation=0.3)
    assert loud.is_saturated
    assert "saturation" in kinds(loud, CATCHPHRASE)
    assert kinds(loud, PLAIN) == []
    assert any("plainly" in one for one in loud.directives(pick=0))


def test_within_the_dead_band_nothing_happens_and_above_it_the_pull_grows(voice):
    pulls = []
    for num in range(4):
        now = control(voice, *talk(*[CATCHPHRASE] * num), quirk_budget=20, trait_saturation=0.9)
        assert now.is_saturated is False
        pulls.append(now.pull.saturation)
        assert (now.pull.saturation == 0) == (now.heard.saturation <= DEAD_BAND * 0.9)
    assert pulls[0] == pulls[1] == 0
    assert 0 < pulls[2] < pulls[3] < 1


# --- synchrony -----------------------------------------------------------------------------------------


def test_mirroring_beyond_the_cap_holds_the_character_to_its_own_manner(voice):
    exchanges = talk(*[LOUD] * 4, line=LOUD)
    held = control(voice, *exchanges, line=LOUD, synchrony=0.2)
    assert held.is_mirroring
    assert held.pull.mirroring_cap == 0.2
    assert any("own manner" in one for one in held.directives(pick=0))
    free = control(voice, *exchanges, line=LOUD, synchrony=1.0)
    assert not free.is_mirroring
    assert any("Fall in with the player's manner" in one for one in free.directives(pick=0))


def test_a_character_that_keeps_its_voice_is_left_alone(voice):
    calm = control(voice, *talk(*[PLAIN] * 4, line=LOUD), line=LOUD, synchrony=0.2, quirk_budget=0)
    assert not calm.is_mirroring
    assert list(calm.directives(pick=0)) == []


# --- role_play, task_priority ------------------------------------------------------------------------------


def test_role_play_pulls_always_and_task_priority_on_tasks(voice):
    talk_pull, task_pull = (
        control(voice, route=route, role_play=0.7, task_priority=0.6).pull for route in (Route.WORLD, Route.TASK)
    )
    assert talk_pull.role_play == task_pull.role_play == 0.7
    assert (talk_pull.task_priority, task_pull.task_priority) == (0.0, 0.6)


def test_the_trace_shows_what_was_measured(voice):
    data = control(voice, *talk(CATCHPHRASE)).as_data(CATCHPHRASE)
    assert data["quirks"] == [CATCHPHRASE]
    assert data["quirks_counted"] == 1
    assert data["index"] == pytest.approx(1.0)
    assert 0 < data["saturation"] < 1
