"""What runs and requests cost, by moving averages of what was measured. Decides nothing.

Written by the engine thread; single reads from other threads are harmless.
"""

from __future__ import annotations

# In an average the last ten values weigh most.
_WEIGHT = 0.1

# Before the first chunk was measured: slow enough for the first shared chunk to be a short one, 32 tokens of 80 ms.
_FIRST_PREFILL_TOKEN_S = 0.0025
_WHOLE_CHUNK_TOKENS = 16
_CLOCK_STEP_S = 1e-6  # a coarse clock may show no time at all


class RunCosts:
    """Averages of run times in seconds.

    Attributes:
        prefill_token_s: One prompt token in a chunk.
        request_s: How long a request holds a slot; None until one has ended.
    """

    def __init__(self) -> None:
        self.prefill_token_s = _FIRST_PREFILL_TOKEN_S
        self.request_s: float | None = None
        self._decode_s: dict[int, float] = {}
        self._is_prefill_measured = False

    def saw_prefill(self, num_tokens: int, elapsed_s: float) -> None:
        """A chunk was run."""
        token_s = max(elapsed_s, _CLOCK_STEP_S) / num_tokens
        # A chunk of few tokens costs more a token than the chunks whose length is chosen by this average.
        weight = _WEIGHT * min(1.0, num_tokens / _WHOLE_CHUNK_TOKENS)
        if not self._is_prefill_measured and num_tokens >= _WHOLE_CHUNK_TOKENS:
            self._is_prefill_measured, weight = True, 1.0
        self.prefill_token_s += weight * (token_s - self.prefill_token_s)

    def saw_decode(self, num_rows: int, elapsed_s: float) -> None:
        """One token was run for each of several slots."""
        before = self._decode_s.get(num_rows, elapsed_s)
        self._decode_s[num_rows] = before + _WEIGHT * (elapsed_s - before)

    def saw_request(self, held_s: float) -> None:
        """A request has ended after holding a slot for so long."""
        before = held_s if self.request_s is None else self.request_s
        self.request_s = before + _WEIGHT * (held_s - before)

    def prefill_s(self, num_tokens: int) -> float:
        """What a chunk should take."""
        return num_tokens * self.prefill_token_s

    def decode_s(self, num_rows: int) -> float:
        """What a step of so many rows should take; 0 where none was seen."""
        return self._decode_s.get(num_rows, 0.0)
