"""Tokenizers: built from a GGUF's own vocabulary, and applied to chat messages.

Only byte-level BPE is covered: every text has ids and comes back, and a message's ids do not depend on its neighbours.
A conversation's ids are its messages' ids one after another, so that a longer conversation starts with the shorter
one's. They equal the model's own Jinja template's for texts without outer white space, except for what such a template
makes up: SmolLM2's and Qwen2.5's insert a system prompt where none is given, Llama 3's a knowledge date; none is
inserted here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE

from npc_engine.errors import CorruptModel, InvalidModelFile, UnsupportedTokenizer
from npc_engine.models.chat_template import ChatTemplate, Role

_CONTROL, _USER_DEFINED = 3, 4  # GGUF's token types

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_ONE_DIGIT = _WORDS.format(digits="")
_THREE_DIGITS = _WORDS.format(digits="{1,3}")


@dataclass(frozen=True)
class _PreTokenizer:
    """How a vocabulary's publisher cuts text before merging: expressions applied one after another."""

    expressions: tuple[str, ...]
    is_nfc: bool = False
    ignore_merges: bool = False


# By `tokenizer.ggml.pre`. Source: each family's published tokenizer.json.
_PRE_TOKENIZERS = {
    "default": _PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")),
    "gpt-2": _PreTokenizer((_GPT2,)),
    "smollm": _PreTokenizer((r"\p{N}", _GPT2)),
    "qwen2": _PreTokenizer((_ONE_DIGIT,), is_nfc=True),
    "llama-bpe": _PreTokenizer((_THREE_DIGITS,), ignore_merges=True),
}


def tokenizer_from_gguf(fields: Mapping[str, Any]) -> Tokenizer:
    """The vocabulary of a GGUF's `tokenizer.ggml.*` fields as a `tokenizers` Tokenizer.

    Raises:
        UnsupportedTokenizer: It is not byte-level BPE, or cuts text in a way that is not known here.
        InvalidModelFile: A field is missing or malformed.
    """
    kind = fields.get("tokenizer.ggml.model")
    if kind != "gpt2":
        raise UnsupportedTokenizer(
            f"vocabulary kind {kind!r} is not supported", hint="use a model with a byte-level BPE vocabulary (gpt2)"
        )
    name = fields.get("tokenizer.ggml.pre", "default")
    if name not in _PRE_TOKENIZERS:
        raise UnsupportedTokenizer(
            f"pre-tokenizer {name!r} is not supported", hint=f"supported are: {', '.join(_PRE_TOKENIZERS)}"
        )
    pre = _PRE_TOKENIZERS[name]
    try:
        tokens: list[str] = fields["tokenizer.ggml.tokens"]
        types: list[int] = fields["tokenizer.ggml.token_type"]
        merges = [_merge(text) for text in fields["tokenizer.ggml.merges"]]
        vocabulary = {token: index for index, token in enumerate(tokens)}
        tokenizer = Tokenizer(BPE(vocabulary, merges, fuse_unk=False, ignore_merges=pre.ignore_merges))
    except KeyError as error:
        raise InvalidModelFile(f"{error.args[0]} is missing", hint="the file has no complete vocabulary") from error
    except Exception as error:  # tokenizers raises bare Exception for a merge that is not in the vocabulary
        raise InvalidModelFile(f"the vocabulary is not valid BPE: {error}") from error
    if pre.is_nfc:
        tokenizer.normalizer = normalizers.NFC()
    cuts = [pre_tokenizers.Split(Regex(expression), "isolated") for expression in pre.expressions]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cuts, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    for token, token_type in zip(tokens, types, strict=True):
        if token_type in (_CONTROL, _USER_DEFINED):
            added = AddedToken(token, special=token_type == _CONTROL, normalized=False)
            (tokenizer.add_special_tokens if token_type == _CONTROL else tokenizer.add_tokens)([added])
    return tokenizer


def _merge(text: str) -> tuple[str, str]:
    """A merge's two sides; a byte-level token holds no space, so one space divides them."""
    left, right = text.split(" ")
    return left, right


def eos_ids_from_gguf(fields: Mapping[str, Any]) -> tuple[int, ...]:
    """The end tokens that the file names."""
    keys = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id")
    return tuple(dict.fromkeys(int(fields[key]) for key in keys if key in fields))


def tokenizer_from_json(path: Path) -> Tokenizer:
    """A decoder's published tokenizer.json, without its post-processor, truncation and padding.

    Raises:
        UnsupportedTokenizer: It is not byte-level BPE.
        InvalidModelFile: The file is missing or is not a tokenizer.
    """
    tokenizer = read_tokenizer(path)
    data = json.loads(tokenizer.to_str())
    if data["model"]["type"] != "BPE" or '"ByteLevel"' not in json.dumps(data["decoder"]):
        raise UnsupportedTokenizer(f"{path}: not byte-level BPE", hint="use a model with a byte-level BPE vocabulary")
    return Tokenizer.from_str(json.dumps(data | {"post_processor": None}))


def read_tokenizer(path: Path) -> Tokenizer:
    """A published tokenizer.json of any kind, without truncation and padding.

    Raises:
        InvalidModelFile: The file is missing or is not a tokenizer.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise InvalidModelFile(f"{path}: {error}", hint="the model's folder needs its tokenizer.json") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class ChatTokenizer:
    """Text and chat messages to ids and back, for one installed model.

    Attributes:
        raw: The whole tokenizer, special tokens included.
        template: The model's chat template.
        stop_ids: Ids that end a reply.
    """

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate) -> None:
        self.raw = tokenizer
        self.template = template
        self._plain = Tokenizer.from_str(json.dumps(json.loads(tokenizer.to_str()) | {"added_tokens": []}))
        self._wrappers = {
            role: (self._encode_markup(before), self._encode_markup(after))
            for role, (before, after) in template.roles.items()
        }
        self._generation_prompt = self._encode_markup(template.generation_prompt)
        self.stop_ids = frozenset(i for token in template.stop if (i := tokenizer.token_to_id(token)) is not None)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read tokenizer.json and chat_template.json.

        Raises:
            CorruptModel: Either is missing or unreadable.
        """
        path = folder / "tokenizer.json"
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception
            raise CorruptModel(f"{path}: {error}", hint="npc-engine models verify NAME, then pull it again") from error
        return cls(tokenizer, ChatTemplate.load(folder / "chat_template.json"))

    @property
    def vocab_size(self) -> int:
        """Tokens in the vocabulary, special ones included; the graph may have more logits than that."""
        return self.raw.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> list[int]:
        """Ids of plain text: no text can spell a special token."""
        return self._plain.encode(text, add_special_tokens=False).ids

    def encode_message(self, role: Role, text: str) -> list[int]:
        """Ids of one whole message in its role's wrapper; `text` is plain and should have no outer white space."""
        before, after = self._wrappers[role]
        return [*before, *self.encode(text), *after]

    def generation_prompt_ids(self) -> list[int]:
        """Ids that open the reply."""
        return list(self._generation_prompt)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids without special tokens; a character cut in the middle comes out as U+FFFD."""
        return self.raw.decode(list(ids), skip_special_tokens=True)

    def _encode_markup(self, text: str) -> list[int]:
        return self.raw.encode(text, add_special_tokens=False).ids
