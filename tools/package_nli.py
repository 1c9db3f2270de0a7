"""Put an installed classifier into the package as the built-in model `nli`.

    npc-engine models import FOLDER --name trained --kind classifier
    python tools/package_nli.py trained

Writes npc_engine/models/data/nli/: the model's files, and a manifest with their hashes under the name `nli`. The model
card, README.md, must lie there already and is recorded with the rest.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

from npc_engine.config import default_cache_dir
from npc_engine.errors import ConfigError
from npc_engine.inference.spec import ClassifierSpec
from npc_engine.models.cache import sha256_of
from npc_engine.models.catalogue import load_catalogue
from npc_engine.models.installed import BUILTIN_MODELS, InstalledModel, ManifestFile, verify

NAME = "nli"
CARD = "README.md"


def package(model: InstalledModel, folder: Path, *, temperature: float | None = None) -> Path:
    """Copy the model into `folder`, which may hold its card and an older build; returns it.

    Raises:
        ConfigError: The model is no classifier, or `folder` has no model card.
    """
    if model.kind != "classifier":
        raise ConfigError(f"{model.name} is of kind {model.kind}, not a classifier")
    card = folder / CARD
    if not card.is_file():
        raise ConfigError(f"{card} is missing: write the model card first")
    for name in model.manifest.files:
        shutil.copyfile(model.path / name, folder / name)
    if temperature is not None:
        path = folder / "classifier.json"
        replace(ClassifierSpec.load(path), temperature=temperature).save(path)
    names = sorted([*model.manifest.files, CARD])
    files = {
        name: ManifestFile(bytes=(folder / name).stat().st_size, sha256=sha256_of(folder / name)) for name in names
    }
    entry = load_catalogue()[NAME]
    source = {"type": "package", "pinned": True, "title": entry.title}
    manifest = model.manifest.model_copy(
        update={"name": NAME, "licence": entry.licence, "source": source, "files": files}
    )
    manifest.save(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="an installed classifier")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    parser.add_argument("--temperature", type=float, help="calibrated on data apart from any test set")
    given = parser.parse_args()
    folder = package(verify(given.name, given.cache_dir), BUILTIN_MODELS / NAME, temperature=given.temperature)
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size:>12,} {path.name}")


if __name__ == "__main__":
    main()
