from __future__ import annotations

import json
import random
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from npc_engine.errors import InvalidConstraint
from npc_engine.inference.constraint import Constraint, ConstraintCompiler

ACTION = {
    "type": "object",
    "properties": {
        "action": {"enum": ["give", "trade", "wave"]},
        "amount": {"type": "integer", "minimum": 1, "maximum": 99},
    },
    "required": ["action", "amount"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def compiler(tokenizer: Tokenizer) -> ConstraintCompiler:
    return ConstraintCompiler(tokenizer, vocab_size=400, eos_token_ids=(0, 2))


def walk(constraint: Constraint, tokenizer: Tokenizer, seed: int, limit: int = 200) -> str:
    """A random sentence of the grammar, as a model without any sense would say it."""
    rng, state, ids = random.Random(seed), constraint.start(), []
    while not state.is_finished and len(ids) < limit:
        ids.append(rng.choice(np.flatnonzero(state.allowed).tolist()))
        state.advance(ids[-1])
    assert state.is_finished
    return tokenizer.decode(ids)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000))
def test_any_walk_through_a_schema_is_json_of_that_schema(
    compiler: ConstraintCompiler, tokenizer: Tokenizer, seed: int
) -> None:
    value = json.loads(walk(compiler.json_schema(ACTION), tokenizer, seed))
    assert set(value) == {"action", "amount"}
    assert value["action"] in ("give", "trade", "wave")
    assert 1 <= value["amount"] <= 99


TEXTS = st.lists(st.text(min_size=1, max_size=12).filter(lambda text: "\0" not in text), min_size=1, max_size=5)


@settings(deadline=None, max_examples=50)
@given(texts=TEXTS, seed=st.integers(0, 99))
def test_choices_are_literal_text(
    compiler: ConstraintCompiler, tokenizer: Tokenizer, texts: list[str], seed: int
) -> None:
    assert walk(compiler.choices(texts), tokenizer, seed) in texts


@pytest.mark.parametrize("text", ["a b", "1+1=2?", "[x](y)", "a\nb", "tab\there", "-", "é#&~", "\\d", "{2}", "日本"])
def test_choices_may_look_like_patterns(compiler: ConstraintCompiler, tokenizer: Tokenizer, text: str) -> None:
    assert walk(compiler.choices([text]), tokenizer, 0) == text


def test_regex_and_lark(compiler: ConstraintCompiler, tokenizer: Tokenizer) -> None:
    for seed in range(10):
        assert re.fullmatch(r"[0-9]{1,3} gold", walk(compiler.regex(r"[0-9]{1,3} gold"), tokenizer, seed))
        assert walk(compiler.lark('start: "yes" | "no"'), tokenizer, seed) in ("yes", "no")


def test_a_grammar_is_compiled_once(compiler: ConstraintCompiler) -> None:
    assert compiler.json_schema(ACTION) is compiler.json_schema(dict(ACTION))


def test_sequences_do_not_share_their_state(compiler: ConstraintCompiler, tokenizer: Tokenizer) -> None:
    constraint = compiler.choices(["ab", "cd"])
    first, second = constraint.start(), constraint.start()
    first.advance(tokenizer.token_to_id("a"))
    assert not first.allowed[tokenizer.token_to_id("c")]
    assert second.allowed[tokenizer.token_to_id("c")]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("regex", "(unclosed"),
        ("regex", "(?=look)"),
        ("lark", "start: nowhere"),
        ("lark", "not a grammar"),
        ("json_schema", {"type": "no such type"}),
        ("json_schema", {"type": object()}),
        ("json_schema", {"allOf": [{"type": "string"}, {"type": "integer"}]}),
        ("choices", []),
        ("choices", ["yes", ""]),
    ],
)
def test_what_does_not_compile_is_refused(compiler: ConstraintCompiler, kind: str, value: Any) -> None:
    with pytest.raises(InvalidConstraint):
        getattr(compiler, kind)(value).start()


def test_a_token_outside_the_grammar_is_refused(compiler: ConstraintCompiler, tokenizer: Tokenizer) -> None:
    state = compiler.choices(["ab"]).start()
    with pytest.raises(InvalidConstraint):
        state.advance(tokenizer.token_to_id("z"))


def test_grammars_used_last_are_kept_and_their_number_is_bounded(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("npc_engine.inference.constraint.MAX_COMPILED", 2)
    small = ConstraintCompiler(tokenizer, vocab_size=400, eos_token_ids=(0, 2))
    first, second = small.choices(["a"]), small.choices(["b"])
    assert small.choices(["a"]) is first
    small.choices(["c"])
    assert small.choices(["a"]) is first
    assert small.choices(["b"]) is not second


@pytest.mark.parametrize(
    ("kind", "value"),
    [("lark", "start: A\nA: /a+/ & /b+/"), ("lark", 'start: start "a"'), ("json_schema", {"enum": []})],
)
def test_a_grammar_that_nothing_satisfies_is_refused_when_compiled(
    compiler: ConstraintCompiler, kind: str, value: Any
) -> None:
    with pytest.raises(InvalidConstraint):
        getattr(compiler, kind)(value)
