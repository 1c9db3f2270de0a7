"""The engine's own controls, and the length budget of a running reply (`max_words`, `max_sentences`).

Values and levels are in `sheets/controls.py`, what the other controls do in `voice.py`, `prompt.py` and `judging.py`.
"""

from __future__ import annotations

from npc_engine.config import EngineConfig
from npc_engine.sheets.controls import ControlOverrides, ControlValues

# English runs at about 1.3 tokens a word for these vocabularies; the slack lets the last sentence end.
TOKENS_PER_WORD = 1.5
SLACK_TOKENS = 24


def engine_controls(config: EngineConfig) -> ControlOverrides:
    """The controls that the configuration sets for every character."""
    return ControlOverrides(**{name: getattr(config, name) for name in ControlOverrides.model_fields})


class LengthBudget:
    """Counts a reply's sentences and words; the first sentence is always admitted.

    Args:
        controls: The turn's values.
    """

    def __init__(self, controls: ControlValues) -> None:
        self._max_words = controls.max_words
        self._max_sentences = controls.max_sentences
        self.num_words = 0
        self.num_sentences = 0

    @property
    def max_new_tokens(self) -> int:
        """Tokens that a reply within the budget can need."""
        return int(self._max_words * TOKENS_PER_WORD) + SLACK_TOKENS

    @property
    def is_spent(self) -> bool:
        """Whether no further sentence can be admitted."""
        return self.num_sentences >= self._max_sentences or self.num_words >= self._max_words

    def admit(self, sentence: str) -> bool:
        """Count a sentence in if it fits whole; say whether it did."""
        words = len(sentence.split())
        if self.is_spent or (self.num_sentences > 0 and self.num_words + words > self._max_words):
            return False
        self.num_words += words
        self.num_sentences += 1
        return True
