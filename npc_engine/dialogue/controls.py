"""The controls' effects on a running reply. Their values and levels are in `sheets/controls.py`.

Built: the length budget (`max_words`, `max_sentences`) and `role_play`'s share of the prompt (in `prompt.py`).
Not built yet, and reported so in the trace: quirk budget and cooldown, trait saturation, task priority, synchrony.
"""

from __future__ import annotations

from npc_engine.sheets.controls import ControlValues

INACTIVE_CONTROLS = ("quirk_budget", "cooldown_turns", "trait_saturation", "task_priority", "synchrony")

# English runs at about 1.3 tokens a word for these vocabularies; the slack lets the last sentence end.
TOKENS_PER_WORD = 1.5
SLACK_TOKENS = 24


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
