"""Chat templates as tables of role wrappers: chosen at build time, written beside the model as chat_template.json."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal, Self

from tokenizers import Tokenizer

from npc_engine.errors import CorruptModel, UnsupportedTokenizer

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant")


@dataclass(frozen=True, kw_only=True)
class ChatTemplate:
    """What stands around a message's text, by role.

    Args:
        name: As in chat_templates.toml.
        roles: (before, after) for each role; special tokens are spelled out.
        generation_prompt: What opens the reply.
        stop: Special tokens that end a reply.
    """

    name: str
    roles: dict[Role, tuple[str, str]]
    generation_prompt: str
    stop: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write chat_template.json."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read chat_template.json.

        Raises:
            CorruptModel: It is missing or is not such a table.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                name=str(data["name"]),
                roles={role: (str(data["roles"][role][0]), str(data["roles"][role][1])) for role in ROLES},
                generation_prompt=str(data["generation_prompt"]),
                stop=tuple(map(str, data["stop"])),
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise CorruptModel(
                f"{path}: not a chat template: {error!r}", hint="npc-engine models verify NAME, then pull it again"
            ) from error


@cache
def _table() -> dict[str, dict[str, object]]:
    text = resources.files("npc_engine.models").joinpath("chat_templates.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def template_names() -> tuple[str, ...]:
    """The built-in templates."""
    return tuple(_table())


def choose_template(name: str | None, tokenizer: Tokenizer, *, eos_token_ids: tuple[int, ...]) -> ChatTemplate:
    """The named template, or the first whose special tokens the vocabulary has.

    `stop` holds the template's stop tokens that the vocabulary has, and the model's own end tokens.

    Raises:
        UnsupportedTokenizer: No template fits, or the vocabulary lacks the named one's tokens.
    """
    known = ", ".join(template_names())
    if name is not None and name not in _table():
        raise UnsupportedTokenizer(f"chat template {name!r} is not built in", hint=f"built in are: {known}")
    for candidate, row in _table().items():
        required: list[str] = row["requires"]  # type: ignore[assignment]
        missing = [token for token in required if tokenizer.token_to_id(token) is None]
        if name not in (None, candidate):
            continue
        if not missing:
            ends = (tokenizer.id_to_token(token_id) for token_id in eos_token_ids)
            stop: list[str] = row["stop"]  # type: ignore[assignment]
            present = [token for token in stop if tokenizer.token_to_id(token) is not None]
            return ChatTemplate(
                name=candidate,
                roles={role: tuple(pair) for role, pair in row["roles"].items()},  # type: ignore[attr-defined]
                generation_prompt=str(row["generation_prompt"]),
                stop=tuple(dict.fromkeys([*present, *(token for token in ends if token)])),
            )
        if name == candidate:
            raise UnsupportedTokenizer(
                f"chat template {name!r} needs {', '.join(missing)}, which the vocabulary lacks",
                hint="leave the template out to pick by vocabulary",
            )
    raise UnsupportedTokenizer(
        "no built-in chat template fits the vocabulary: is this a base model without chat training?",
        hint=f"use an instruction-tuned model of one of the templates: {known}",
    )
