"""The model's part of a choice on random weights: names have probabilities, arguments are valid or there are none."""

import asyncio

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from npc_engine.actions.arguments import problem_of
from npc_engine.actions.choose import ActionChooser
from npc_engine.config import EngineConfig
from npc_engine.inference.decoder import Decoder
from npc_engine.inference.engine import InferenceEngine
from npc_engine.models.build import build_decoder
from npc_engine.sheets.schema import ActionSpec
from tests.recital import BABBLE, write_babbler
from tests.talk import SETTINGS


@pytest.fixture(scope="module")
def choosers(tmp_path_factory, tokenizer, compiler):
    """A chooser a set of random weights."""
    engines = []
    for seed in range(4):
        folder = tmp_path_factory.mktemp("babbler")
        (folder / "model").mkdir()
        build_decoder(write_babbler(folder / "stub.gguf", *BABBLE, seed=seed), folder / "model", precision="fp32")
        config = EngineConfig(**SETTINGS | {"max_context_tokens": 512})
        engines.append(InferenceEngine(Decoder.load(folder / "model", config=config), tokenizer.raw, config=config))
        engines[-1].start()
    yield [ActionChooser(engine, compiler) for engine in engines]
    for engine in engines:
        engine.close()


@pytest.fixture
def chooser(choosers):
    return choosers[0]


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=12).filter(
    lambda text: text == text.strip() != ""
)


@st.composite
def parameters(draw):
    kind = draw(st.sampled_from(["string", "integer", "number", "boolean", "choices", "numbers", "range"]))
    fields = {"description": "d", "required": draw(st.booleans()), "type": kind}
    if kind == "choices":
        fields |= {"type": "string", "choices": draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True))}
    elif kind == "numbers":
        numbers = st.lists(st.integers(-99, 99), min_size=1, max_size=4, unique=True)
        fields |= {"type": "integer", "choices": draw(numbers)}
    elif kind == "range":
        low = draw(st.integers(-99, 99))
        fields |= {"type": draw(st.sampled_from(["integer", "number"])), "minimum": low, "maximum": low + 9}
    return fields


@st.composite
def actions(draw):
    names = draw(st.lists(NAMES.filter(lambda name: name != "none"), min_size=1, max_size=3, unique=True))
    specs = []
    for name in names:
        keys = draw(st.lists(NAMES.filter(lambda key: key != "action"), max_size=3, unique=True))
        declared = [{"name": key, **draw(parameters())} for key in keys]
        specs.append(ActionSpec.model_validate({"name": name, "description": "d", "parameters": declared}))
    return specs


@settings(max_examples=40, deadline=None)
@given(offered=actions(), prompt=st.lists(st.integers(3, 250), min_size=1, max_size=8), model=st.integers(0, 3))
def test_arguments_are_valid_or_there_are_none(choosers, offered, prompt, model):
    chooser = choosers[model]
    for action in offered:
        arguments = asyncio.run(chooser.arguments(prompt, action, conversation_id="c"))
        event("none" if arguments is None else "arguments")
        if arguments is not None:
            assert problem_of(action, arguments) is None
        assert asyncio.run(chooser.arguments(prompt, action, conversation_id="c")) == arguments  # greedy


@settings(max_examples=20, deadline=None)
@given(offered=actions(), prompt=st.lists(st.integers(3, 250), min_size=1, max_size=8), model=st.integers(0, 3))
def test_every_name_has_a_probability_that_depends_on_the_prompt_alone(choosers, offered, prompt, model):
    chooser = choosers[model]
    logprobs = asyncio.run(chooser.name_logprobs(prompt, offered, conversation_id="c"))
    assert set(logprobs) == {"none", *(action.name for action in offered)}
    assert all(value < 0 for value in logprobs.values())
    alone = asyncio.run(chooser.name_logprobs(prompt, offered[:1], conversation_id=None))
    assert alone[offered[0].name] == pytest.approx(logprobs[offered[0].name], abs=1e-3)


async def test_a_call_cut_off_by_the_token_limit_is_none(chooser, monkeypatch):
    action = ActionSpec.model_validate(
        {"name": "ring", "description": "d", "parameters": [{"name": "loud", "type": "boolean", "description": "d"}]}
    )
    assert await chooser.arguments([70], action, conversation_id="c") is not None
    monkeypatch.setattr("npc_engine.actions.choose.MAX_CALL_TOKENS", 6)
    assert await chooser.arguments([70], action, conversation_id="c") is None


async def test_without_parameters_the_model_is_not_asked(chooser, monkeypatch):
    monkeypatch.setattr("npc_engine.actions.choose.MAX_CALL_TOKENS", 0)
    assert await chooser.arguments([70], ActionSpec(name="ring", description="d"), conversation_id="c") == {}
