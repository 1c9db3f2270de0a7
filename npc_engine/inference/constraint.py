"""Constrained decoding: which tokens may come next, by llguidance over the model's own tokenizer.

A grammar is compiled once, ahead of any reply; a sequence starts from a copy of the compiled state.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from numpy.typing import NDArray
from tokenizers import Tokenizer

from npc_engine.errors import InvalidConstraint

_MASK_WORD_BITS = 32
# Grammars kept by one compiler, the least recently used going first.
MAX_COMPILED = 64


class ConstraintState:
    """Where one sequence stands in its grammar.

    Attributes:
        forced_ids: The tokens that must come next in the one text that the grammar still allows, cut where a longer
            token could reach beyond it; empty where there is a choice. They are what the tokenizer makes of that text,
            where sampling might spell it otherwise. Source: llguidance, `compute_ff_tokens`.

    Raises:
        InvalidConstraint: No token may come first, or the grammar is too complex.
    """

    def __init__(self, matcher: LLMatcher, vocab_size: int) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size
        self._words = np.zeros(-(-vocab_size // _MASK_WORD_BITS), np.uint32)
        self._allowed: NDArray[np.bool_] | None = self._mask()
        self.forced_ids = self._forced()

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """(vocab_size,) bool: the tokens that keep the text inside the grammar; an end token where it may end.

        Not to be asked for once `is_finished`.

        Raises:
            InvalidConstraint: The grammar became too complex.
        """
        if self._allowed is None:
            self._allowed = self._mask()
        return self._allowed

    @property
    def is_finished(self) -> bool:
        """Whether the text is complete and nothing may follow."""
        finished: bool = self._matcher.is_stopped()
        return finished

    def advance(self, token_id: int) -> None:
        """Take the token that was picked or forced, and work out which may come next.

        Raises:
            InvalidConstraint: The token is not allowed, or the grammar became too complex. The state is of no more use.
        """
        self._matcher.consume_token(token_id)
        self._check()
        self._allowed = None
        if self.forced_ids[:1] == (token_id,) and len(self.forced_ids) > 1:
            self.forced_ids = self.forced_ids[1:]
            return
        self.forced_ids = () if self.is_finished else self._forced()
        if not self.is_finished and not self.forced_ids:
            self._allowed = self._mask()  # now, so that a grammar which outgrew its limits fails here

    def _forced(self) -> tuple[int, ...]:
        forced = tuple(self._matcher.compute_ff_tokens())
        self._check()
        return forced

    def _mask(self) -> NDArray[np.bool_]:
        self._matcher.unsafe_compute_mask_ptr(self._words.ctypes.data, self._words.nbytes)
        self._check()
        bits = np.unpackbits(self._words.view(np.uint8), bitorder="little")
        allowed = bits[: self._vocab_size].astype(np.bool_)
        if not allowed.any():
            raise InvalidConstraint("the grammar cannot be satisfied: no token may come next")
        return allowed

    def _check(self) -> None:
        if self._matcher.is_error():
            raise InvalidConstraint(f"constrained decoding failed: {_first_line(self._matcher.get_error())}")


@dataclass(frozen=True, eq=False)
class Constraint:
    """A compiled grammar. Compare and hash by identity; it may be shared by any number of sequences.

    Attributes:
        grammar: Its text in llguidance's own form.
    """

    grammar: str = field(repr=False)
    _matcher: LLMatcher = field(repr=False)
    _vocab_size: int = field(repr=False)

    def start(self) -> ConstraintState:
        """The state before the first token."""
        return ConstraintState(self._matcher.deep_copy(), self._vocab_size)


class ConstraintCompiler:
    """Compiles grammars for one tokenizer and keeps those used last.

    Building one reads the whole vocabulary (about 0.1 s for 50,000 tokens); make one a model.

    Args:
        tokenizer: The model's.
        vocab_size: Width of the logits, at least the tokenizer's.
        eos_token_ids: Tokens that may end a reply; at least one.
    """

    def __init__(self, tokenizer: Tokenizer, *, vocab_size: int, eos_token_ids: Sequence[int]) -> None:
        self._vocab_size = vocab_size
        self._tokenizer = LLTokenizer(tokenizer.to_str(), n_vocab=vocab_size, eos_token=list(eos_token_ids))
        self._lock = threading.Lock()
        self._compiled: OrderedDict[str, Constraint] = OrderedDict()

    def json_schema(self, schema: Mapping[str, Any]) -> Constraint:
        """One JSON value of this schema, without white space between its parts.

        Raises:
            InvalidConstraint: The schema is not one, or uses a keyword that is not supported.
        """
        try:
            text = json.dumps(schema)
            grammar = LLMatcher.grammar_from_json_schema(text, overrides={"whitespace_flexible": False})
        except (TypeError, ValueError) as error:
            raise InvalidConstraint(
                f"JSON schema: {error}", hint="only the keywords that llguidance documents can be used"
            ) from error
        return self._compile(grammar, "JSON schema")

    def regex(self, pattern: str) -> Constraint:
        """A text that the pattern matches whole (Rust `regex` syntax, without look-around).

        Raises:
            InvalidConstraint: The pattern does not compile.
        """
        return self._compile(LLMatcher.grammar_from_regex(pattern), "regex")

    def choices(self, texts: Sequence[str]) -> Constraint:
        """Exactly one of the texts.

        Raises:
            InvalidConstraint: There is none, or one is empty.
        """
        if not texts or not all(texts):
            raise InvalidConstraint(
                "choices: need at least one text, none of them empty", hint="leave the constraint out instead"
            )
        return self.regex("|".join(re.escape(text) for text in dict.fromkeys(texts)))

    def lark(self, grammar: str) -> Constraint:
        """A sentence of a Lark grammar.

        Raises:
            InvalidConstraint: The grammar does not compile.
        """
        return self._compile(LLMatcher.grammar_from_lark(grammar), "Lark grammar")

    def _compile(self, grammar: str, kind: str) -> Constraint:
        with self._lock:
            if grammar in self._compiled:
                self._compiled.move_to_end(grammar)
                return self._compiled[grammar]
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise InvalidConstraint(
                f"{kind}: {_first_line(matcher.get_error())}",
                hint="llguidance's documentation has the syntax; look-around and back-references are not in it",
            )
        constraint = Constraint(grammar, matcher, self._vocab_size)
        constraint.start()  # raises where nothing can satisfy the grammar
        with self._lock:
            self._compiled[grammar] = constraint
            if len(self._compiled) > MAX_COMPILED:
                self._compiled.popitem(last=False)
        return constraint


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "unknown error"
