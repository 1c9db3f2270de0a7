"""Prompts as token ids: what comes first stays first, nothing breaks out, what does not fit goes. No wording."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.dialogue.admission import flat
from npc_engine.dialogue.grounding import Premise
from npc_engine.dialogue.memory import Exchange
from npc_engine.dialogue.prompt import DROP_BLOCK, MAX_LISTED_ACTIONS, MAX_STABLE_SHARE, PromptBuilder
from npc_engine.errors import ConfigError
from npc_engine.models.tokenizer import ChatTokenizer
from npc_engine.sheets.controls import ControlValues
from tests.recital import SPECIAL_TOKENS
from tests.talk import mara

ROOM = 64
LINES = st.text(max_size=30).map(flat).filter(bool)
EXCHANGES = st.lists(st.builds(Exchange, player=LINES, reply=LINES | st.just("")), max_size=12)
# What a player may try: the template's own tokens, the prompt's own headings, line breaks.
SPELLED = ["<|im_end|>", "<|im_start|>", "system\n", "assistant\n", "\n", "[How to reply]", "[The player says]", "- "]
ATTACKS = st.lists(st.sampled_from(SPELLED) | st.text(max_size=5), min_size=1, max_size=12).map("".join)


@pytest.fixture(scope="module")
def tokenizer(reciter):
    return ChatTokenizer.load(reciter("Well."))


@pytest.fixture(scope="module")
def builder(sheet, tokenizer):
    return PromptBuilder(sheet, tokenizer, max_context_tokens=12288)


def choice(builder, offered, line="Hello.", *, exchanges=(), actions=None):
    chosen_from = offered if actions is None else actions
    return builder.action(line, exchanges=exchanges, actions=chosen_from, offered=offered, done=(), max_new_tokens=ROOM)


def speech(builder, line="Hello.", *, exchanges=(), premises=(), directives=(), controls=None, offered=()):
    return builder.speech(
        line,
        exchanges=exchanges,
        premises=premises,
        directives=directives,
        controls=controls or ControlValues(),
        max_new_tokens=ROOM,
        offered=offered,
    )


def fact(text):
    return Premise(id="x", text=text, source="sheet", kind="fact")


def common_prefix(one, other):
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


# --- what stays first ------------------------------------------------------------------------------


@given(exchanges=EXCHANGES, line=LINES, premise=LINES)
def test_a_longer_talk_begins_with_the_shorter(builder, tokenizer, exchanges, line, premise):
    longer = speech(builder, line, exchanges=exchanges, premises=[fact(premise)])
    assert longer.num_dropped_exchanges == 0
    for length in range(len(exchanges) + 1):
        shorter = speech(builder, "Hello.", exchanges=exchanges[:length])
        talk = [
            token
            for exchange in exchanges[:length]
            if exchange.reply
            for token in (
                *tokenizer.encode_message("user", exchange.player),
                *tokenizer.encode_message("assistant", exchange.reply),
            )
        ]
        assert (
            longer.ids[: len(builder.stable_ids)] == builder.stable_ids == tuple(shorter.ids[: len(builder.stable_ids)])
        )
        assert common_prefix(longer.ids, shorter.ids) >= len(builder.stable_ids) + len(talk)


@given(EXCHANGES)
def test_the_two_prompts_of_a_turn_share_all_but_the_tail(sheet, builder, exchanges):
    chosen = choice(builder, sheet.actions, "Hello.", exchanges=exchanges)
    spoken = speech(builder, exchanges=exchanges, offered=sheet.actions)
    told = sum(len(exchange.player) + len(exchange.reply) for exchange in exchanges if exchange.reply)
    assert common_prefix(chosen.ids, spoken.ids) >= len(builder.stable(sheet.actions)) + told


def test_an_action_prompt_names_every_action_and_choice(sheet, builder, tokenizer):
    text = tokenizer.decode(choice(builder, sheet.actions, SAID).ids)
    for action in sheet.actions:
        assert action.name in text
        assert action.description in text
        assert all(parameter.name in text for parameter in action.parameters)
    assert SAID in text


SAID = "Sell me two swords."


def test_actions_are_read_once_and_what_a_condition_hides_only_when_it_may_be_chosen(sheet, builder, tokenizer):
    offered = sheet.actions
    hidden = [action for action in offered if action.when is not None]
    shown = [action for action in offered if action.when is None]
    assert hidden
    assert builder.listed(offered) == tuple(shown)
    stable = builder.stable(offered)
    text = tokenizer.decode(stable)
    assert all(action.description in text for action in shown)
    assert all(action.description not in text for action in hidden)
    without, with_hidden = choice(builder, offered, actions=shown), choice(builder, offered, actions=offered)
    assert without.ids[: len(stable)] == with_hidden.ids[: len(stable)] == stable
    tails = [tokenizer.decode(prompt.ids[len(stable) :]) for prompt in (without, with_hidden)]
    assert all(action.description not in tail for action in shown for tail in tails)
    assert [action.description in tail for action in hidden for tail in tails] == [False, True] * len(hidden)


def test_a_talk_without_actions_says_nothing_of_them(sheet, builder, tokenizer):
    assert builder.listed(()) == ()
    assert builder.stable(()) == builder.stable_ids
    assert all(action.description not in tokenizer.decode(builder.stable_ids) for action in sheet.actions)
    # Whatever a game offers, all that stands before the actions is shared.
    assert common_prefix(builder.stable(sheet.actions), builder.stable_ids) > len(builder.stable_ids) // 2


def test_more_actions_than_can_be_read_once_are_shown_as_a_shortlist(sheet, builder, tokenizer):
    bell = sheet.actions[0]
    many = tuple(bell.model_copy(update={"name": f"bell_{number}"}) for number in range(MAX_LISTED_ACTIONS + 1))
    assert builder.listed(many) == ()
    assert builder.stable(many) == builder.stable_ids
    text = tokenizer.decode(choice(builder, many, actions=many[3:5]).ids)
    assert ["bell_3:" in text, "bell_4:" in text, "bell_5:" in text] == [True, True, False]


def test_premises_results_and_directives_are_in_the_tail(builder, tokenizer):
    prompt = speech(builder, SAID, premises=[fact("Iron is dear."), fact("Gold too.")], directives=["Say it twice."])
    tail = tokenizer.decode(prompt.ids[prompt.num_stable_tokens :])
    assert tail.index("Iron is dear.") < tail.index("Gold too.") < tail.index(SAID)
    assert "Say it twice." in tail


@pytest.mark.parametrize("change", [{"role_play": 0.0}, {"role_play": 1.0}, {"max_words": 7}, {"max_sentences": 1}])
def test_controls_change_the_tail_only(builder, change):
    plain, changed = speech(builder), speech(builder, controls=ControlValues(**change))
    assert plain.ids != changed.ids
    assert common_prefix(plain.ids, changed.ids) > len(builder.stable_ids)


# --- what cannot break out ---------------------------------------------------------------------------


@given(line=ATTACKS, event=ATTACKS, said=ATTACKS)
def test_no_text_of_the_player_or_the_game_becomes_markup(builder, tokenizer, line, event, said):
    line, event, said = (flat(text) or "x" for text in (line, event, said))
    exchange = Exchange(player=said, reply="Yes.")
    prompt = speech(builder, line, exchanges=[exchange], premises=[fact(event)])
    harmless = speech(builder, "x", exchanges=[Exchange(player="x", reply="Yes.")], premises=[fact("x")])
    special = [tokenizer.raw.token_to_id(token) for token in SPECIAL_TOKENS]
    assert [i for i in prompt.ids if i in special] == [i for i in harmless.ids if i in special]
    text, plain = (tokenizer.decode(p.ids) for p in (prompt, harmless))
    assert text.count("\n") == plain.count("\n")
    assert {line, said, f"- {event}"} <= set(text.split("\n"))


# --- what does not fit -------------------------------------------------------------------------------


def talk_of(number):
    return [Exchange(player=f"Question {index:03}", reply=f"Answer {index:03}.") for index in range(number)]


@given(number=st.integers(0, 60), extra=st.integers(0, 1500))
def test_the_oldest_exchanges_go_in_blocks(sheet, tokenizer, builder, number, extra):
    context = 2 * len(builder.stable_ids) + extra
    short = PromptBuilder(sheet, tokenizer, max_context_tokens=context)
    prompt = speech(short, exchanges=talk_of(number))
    dropped = prompt.num_dropped_exchanges
    assert len(prompt.ids) + ROOM <= context
    assert prompt.ids[: prompt.num_stable_tokens] == short.stable_ids
    assert dropped % DROP_BLOCK == 0 or dropped == number
    text = tokenizer.decode(prompt.ids)
    assert [f"Answer {index:03}." in text for index in range(number)] == [index >= dropped for index in range(number)]
    # A block less would not have fitted.
    if dropped:
        block = dropped % DROP_BLOCK or DROP_BLOCK
        kept_longer = speech(builder, exchanges=talk_of(number)[dropped - block :])
        assert len(kept_longer.ids) + ROOM > context


def test_examples_go_before_the_persona_does(sheet, tokenizer, builder):
    kept = []
    for room in range(len(builder.stable_ids), 0, -20):
        try:
            short = PromptBuilder(sheet, tokenizer, max_context_tokens=int(room / MAX_STABLE_SHARE))
        except ConfigError:
            break
        kept.append(short.num_examples)
        assert len(short.stable_ids) <= room
        text = tokenizer.decode(short.stable_ids)
        for part in (sheet.identity.name, sheet.identity.social, sheet.identity.personal, sheet.identity.context):
            assert part in text
        assert text.rstrip().endswith(f"assistant\n{sheet.greeting}")
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == builder.num_examples > kept[-1] == 0


def test_a_persona_that_leaves_no_room_is_the_operators_error(tmp_path, tokenizer):
    long = mara(tmp_path, ("social: Known to all.", f"social: {'Known to all. ' * 40}"))
    with pytest.raises(ConfigError, match="mara") as caught:
        PromptBuilder(long, tokenizer, max_context_tokens=1500)
    assert "max_context_tokens" in caught.value.hint
