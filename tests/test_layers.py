"""The import arrows of docs/architecture.md, checked from the source."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "npc_engine"
MAY_IMPORT = {
    "__init__": set(),
    "__main__": {"cli"},
    "errors": set(),
    "config": {"errors"},
    "metrics": {"errors", "config"},
    "protocol": {"errors"},
    "inference": {"errors", "config", "metrics"},
    "models": {"errors", "config", "inference"},
    "sheets": {"errors"},
    "guard": {"errors", "sheets", "inference"},
    "actions": {"errors", "sheets", "inference", "models"},
    "dialogue": {"errors", "config", "metrics", "guard", "actions", "sheets", "inference", "models"},
    "server": {"errors", "config", "metrics", "protocol", "dialogue"},
    "client": {"errors", "protocol"},
    "playtest": {"errors", "protocol", "client", "sheets", "guard"},
    "cli": {
        "errors",
        "config",
        "metrics",
        "protocol",
        "inference",
        "models",
        "sheets",
        "guard",
        "dialogue",
        "server",
        "client",
        "playtest",
    },
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_layers(path):
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("npc_engine.")}
    rooms = {name for name in ours if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists()}
    assert rooms - {room(path)} <= MAY_IMPORT[room(path)]


def test_only_one_module_imports_onnxruntime():
    importing = [path for path in MODULES if any(name.split(".")[0] == "onnxruntime" for name in imports(path))]
    assert importing == [PACKAGE / "inference" / "onnx_session.py"]


def test_only_server_and_client_open_sockets():
    for path in MODULES:
        if any(name.split(".")[0] in ("zmq", "socket") for name in imports(path)):
            assert room(path) in ("server", "client"), path


def test_architecture_page_names_every_room():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name in MAY_IMPORT:
        assert name.startswith("__") or name in page
