"""From token ids to text that is safe to show: no broken characters, nothing that a stop text may still take back."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

_BROKEN = "\N{REPLACEMENT CHARACTER}"


class StopBuffer:
    """Passes text on up to the first stop text, however the text is cut into pieces.

    The first stop text to be complete wins; of two complete at the same character, the longer.

    Args:
        stop: The stop texts; none may be empty.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(stop)
        self._held = ""
        self.is_stopped = False

    def push(self, piece: str) -> str:
        """Add a piece; return what can no longer become part of a stop text."""
        if self.is_stopped:
            return ""
        self._held += piece
        ends = [(at + len(stop), at) for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if ends:
            self.is_stopped = True
            return self._take(min(ends)[1])
        return self._take(len(self._held) - self._num_held())

    def flush(self) -> str:
        """Return what is held, at the end of generation; nothing after a stop text."""
        return "" if self.is_stopped else self._take(len(self._held))

    def _take(self, length: int) -> str:
        safe, self._held = self._held[:length], "" if self.is_stopped else self._held[length:]
        return safe

    def _num_held(self) -> int:
        """Length of the longest end of the text that begins a stop text."""
        longest = max((len(stop) for stop in self._stop), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stop):
                return length
        return 0


class TextStream:
    """Decodes tokens as they come; the pieces joined are the whole text's decoding, cut at a stop text.

    Special tokens give no text. A character spread over tokens is held until it is whole; what is still broken at the
    end comes out as U+FFFD, as the tokenizer itself would say it.

    Args:
        tokenizer: The model's.
        stop: Stop texts.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = StopBuffer(stop)
        self._ids: list[int] = []
        # Two offsets, because some tokenizers drop a leading space: a token's text is what it adds after its context.
        self._context = 0
        self._read = 0

    @property
    def is_stopped(self) -> bool:
        """Whether a stop text was reached."""
        return self._stop.is_stopped

    def push(self, token_id: int) -> str:
        """Add a token; return the text that became safe."""
        self._ids.append(token_id)
        before, text = self._decode(self._read), self._decode(len(self._ids))
        if len(text) <= len(before) or text.endswith(_BROKEN):
            return ""
        self._context, self._read = self._read, len(self._ids)
        return self._stop.push(text[len(before) :])

    def flush(self) -> str:
        """Return the rest, at the end of generation; nothing after a stop text."""
        before, text = self._decode(self._read), self._decode(len(self._ids))
        self._context = self._read = len(self._ids)
        return self._stop.push(text[len(before) :]) + self._stop.flush()

    def _decode(self, end: int) -> str:
        return self._tokenizer.decode(self._ids[self._context : end], skip_special_tokens=True)
