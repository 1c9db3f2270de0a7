"""The page to talk in: HTML, styles and scripts as they are served, with no build step and no outside address."""

from __future__ import annotations

from importlib.resources import files

_SUFFIXES = (".html", ".css", ".js", ".svg")


def page_files() -> dict[str, bytes]:
    """The page's files by their path on the server, such as `/index.html`."""
    folder = files(__name__)
    return {f"/{file.name}": file.read_bytes() for file in folder.iterdir() if file.name.endswith(_SUFFIXES)}
