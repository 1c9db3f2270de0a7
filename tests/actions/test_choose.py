"""The constrained decode on a model of random weights: the call is valid or there is none."""

import asyncio

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from npc_engine.actions.choose import ActionChooser, Choice
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


def fits(parameter, value):
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    if not isinstance(value, kinds[parameter.type]) or (isinstance(value, bool) and parameter.type != "boolean"):
        return False
    if parameter.choices:
        return value in parameter.choices
    if parameter.minimum is not None and not parameter.minimum <= value <= parameter.maximum:
        return False
    return not isinstance(value, str) or 1 <= len(value) <= 60


def assert_valid(choice, offered):
    if choice.action is None:
        assert choice.arguments == {}
        return
    assert choice.action in offered
    declared = {parameter.name: parameter for parameter in choice.action.parameters}
    assert set(choice.arguments) <= set(declared)
    assert {name for name, parameter in declared.items() if parameter.required} <= set(choice.arguments)
    assert all(fits(declared[name], value) for name, value in choice.arguments.items())


@settings(max_examples=40, deadline=None)
@given(offered=actions(), prompt=st.lists(st.integers(3, 250), min_size=1, max_size=8), model=st.integers(0, 3))
def test_a_call_is_valid_or_there_is_none(choosers, offered, prompt, model):
    chooser = choosers[model]
    choice = asyncio.run(chooser.choose(prompt, offered, conversation_id="c"))
    event("a call" if choice.action else "none")
    assert_valid(choice, offered)
    assert asyncio.run(chooser.choose(prompt, offered, conversation_id="c")) == choice  # greedy


async def test_a_call_cut_off_by_the_token_limit_is_none(chooser, monkeypatch):
    monkeypatch.setattr("npc_engine.actions.choose.MAX_CALL_TOKENS", 6)
    offered = [ActionSpec(name="ring", description="d")]
    assert await chooser.choose([70], offered, conversation_id="c") == Choice(action=None)


async def test_many_choose_at_once(chooser):
    offered = [ActionSpec(name="ring", description="d"), ActionSpec(name="sing", description="d")]
    choices = await asyncio.gather(*(chooser.choose([70, n], offered, conversation_id=str(n)) for n in range(8)))
    for choice in choices:
        assert_valid(choice, offered)


def test_a_grammar_is_compiled_once(chooser):
    offered = [ActionSpec(name="ring", description="d")]
    assert chooser.compile(offered) is chooser.compile(list(offered))
