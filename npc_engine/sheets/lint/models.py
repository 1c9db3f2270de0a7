"""What lint asks of models, as protocols: the command line hands in what is installed, this room loads nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from npc_engine.sheets.schema import CharacterSheet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Encoder(Protocol):
    """A sentence encoder."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n_texts, hidden_size) float32 rows of length 1."""
        ...


class Nli(Protocol):
    """A natural-language inference model."""

    def scores_now(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """(n_pairs, 3) float32 probabilities of entailment, neutral and contradiction, in this order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What the part of the prompt that is in every turn costs.

    Attributes:
        frame_tokens: System text and greeting, which are never left out.
        limit_tokens: What the stable part may take of the context.
        num_examples: Example turns that fit beside them.
        num_authored: Example turns that the sheet gives.
        model: Whose tokens are counted.
    """

    frame_tokens: int
    limit_tokens: int
    num_examples: int
    num_authored: int
    model: str


@dataclass(frozen=True, kw_only=True)
class Models:
    """What is there; None is what is not.

    Attributes:
        encoder: For near and like sentences.
        nli: For contradiction and entailment.
        budget: Counts with the tokenizer of an installed model.
    """

    encoder: Encoder | None = None
    nli: Nli | None = None
    budget: Callable[[CharacterSheet], Budget] | None = None


NO_MODELS = Models()
