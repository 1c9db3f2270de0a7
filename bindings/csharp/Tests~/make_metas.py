"""Writes the .meta files without which Unity ignores the files of a package; run it after adding or moving one.

python bindings/csharp/Tests~/make_metas.py [--check]

With --check nothing is written; the exit status is 1 where a file is missing, stale or left over.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
MONO_IMPORTER = """MonoImporter:
  externalObjects: {}
  serializedVersion: 2
  defaultReferences: []
  executionOrder: 0
  icon: {instanceID: 0}
"""
IMPORTERS = {
    ".cs": MONO_IMPORTER,
    ".asmdef": "AssemblyDefinitionImporter:\n  externalObjects: {}\n",
    ".json": "PackageManifestImporter:\n  externalObjects: {}\n",
    ".md": "TextScriptImporter:\n  externalObjects: {}\n",
}
OTHER = "DefaultImporter:\n  externalObjects: {}\n"
END = "  userData: \n  assetBundleName: \n  assetBundleVariant: \n"


def meta(path: Path) -> str:
    """The text of a file's or folder's .meta; its GUID follows from its place in the package and never changes."""
    name = path.relative_to(PACKAGE).as_posix()
    guid = hashlib.md5(f"com.npc-engine.client/{name}".encode(), usedforsecurity=False).hexdigest()
    folder = "folderAsset: yes\n" if path.is_dir() else ""
    importer = OTHER if path.is_dir() else IMPORTERS.get(path.suffix, OTHER)
    return f"fileFormatVersion: 2\nguid: {guid}\n{folder}{importer}{END}"


def assets(folder: Path) -> list[Path]:
    """Everything that Unity imports: no hidden file, no folder that ends in `~`, no .meta."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.endswith("~") or path.suffix == ".meta":
            continue
        found.append(path)
        if path.is_dir():
            found.extend(assets(path))
    return found


def main() -> int:
    """Writes, or checks, all .meta files; returns the exit status."""
    wanted = {path.with_name(path.name + ".meta"): meta(path) for path in assets(PACKAGE)}
    present = [path for path in PACKAGE.rglob("*.meta") if "~" not in path.relative_to(PACKAGE).as_posix()]
    wrong = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    left_over = [path for path in present if path not in wanted]
    if "--check" in sys.argv[1:]:
        for path in wrong + left_over:
            print(f"{path.relative_to(PACKAGE)}: run Tests~/make_metas.py")
        return 1 if wrong or left_over else 0
    for path in wrong:
        path.write_text(wanted[path])
    for path in left_over:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
