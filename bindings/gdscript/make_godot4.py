"""Makes the Godot 4 project (godot4/) from the Godot 3 one (godot3/), which is the source of both.

    python bindings/gdscript/make_godot4.py           writes godot4/
    python bindings/gdscript/make_godot4.py --check   tells whether it is in step; exits 1 where not
    python bindings/gdscript/make_godot4.py --list    prints the differences as a table for the README

Two marks help where no pattern does: a line that ends with `#@3` is left out, and the rest of a line
that begins with `#@4` is put in its place.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
SOURCE, TARGET = HERE / "godot3", HERE / "godot4"
TEXT_SUFFIXES = (".gd", ".cfg", ".tscn", ".godot")


class Difference(NamedTuple):
    """One difference between the engines: a pattern of Godot 3, its replacement, and both as people write them."""

    pattern: str
    replacement: str
    godot3: str
    godot4: str


SCRIPT_DIFFERENCES = (
    Difference(r"^extends Reference$", "extends RefCounted", "`Reference`", "`RefCounted`"),
    Difference(r"^tool$", "@tool", "`tool`", "`@tool`"),
    Difference(r"^export var ", "@export var ", "`export var`", "`@export var`"),
    Difference(r"^onready var ", "@onready var ", "`onready var`", "`@onready var`"),
    Difference(r"\bPool(Byte|String)Array\b", r"Packed\1Array", "`PoolByteArray`", "`PackedByteArray`"),
    Difference(r"\bTYPE_REAL\b", "TYPE_FLOAT", "`TYPE_REAL`", "`TYPE_FLOAT`"),
    Difference(
        r"\.(?:subarray|slice)\((.+?), (.+?) - 1\)",
        r".slice(\1, \2)",
        "`bytes.subarray(a, b - 1)`, `array.slice(a, b - 1)`: the end is included",
        "`.slice(a, b)`: it is not",
    ),
    Difference(r"\.empty\(\)", ".is_empty()", "`.empty()`", "`.is_empty()`"),
    Difference(r"\.to_(utf8|ascii)\(\)", r".to_\1_buffer()", "`.to_utf8()`", "`.to_utf8_buffer()`"),
    Difference(r"\bOS\.get_ticks_", "Time.get_ticks_", "`OS.get_ticks_usec()`", "`Time.get_ticks_usec()`"),
    Difference(
        r"\.connect\(([^,()]+), (\w+), ([^()]+)\)",
        r".connect(\1, Callable(\2, \3))",
        '`x.connect("s", self, "f")`',
        '`x.connect("s", Callable(self, "f"))`',
    ),
    Difference(r'\byield\((.+), "(\w+)"\)', r"await \1.\2", '`yield(x, "s")`', "`await x.s`"),
    Difference(r"\.is_valid_integer\(\)", ".is_valid_int()", "`.is_valid_integer()`", "`.is_valid_int()`"),
    Difference(r"\.find_last\(", ".rfind(", "`.find_last(`", "`.rfind(`"),
    Difference(r"\.ord_at\(", ".unicode_at(", "`.ord_at(`", "`.unicode_at(`"),
    Difference(r"\bchar\(", "String.chr(", "`char(`", "`String.chr(`"),
    Difference(
        r"\bJSON\.parse\((.+)\)\.result",
        r"JSON.parse_string(\1)",
        "`JSON.parse(x).result`",
        "`JSON.parse_string(x)`",
    ),
    Difference(r"\bto_json\(", "JSON.stringify(", "`to_json(x)`", "`JSON.stringify(x)`"),
    Difference(
        r"\bpause_mode = PAUSE_MODE_PROCESS",
        "process_mode = PROCESS_MODE_ALWAYS",
        "`pause_mode = PAUSE_MODE_PROCESS`",
        "`process_mode = PROCESS_MODE_ALWAYS`",
    ),
    Difference(
        r"\.is_connected_to_host\(\)",
        ".get_status() == StreamPeerTCP.STATUS_CONNECTED",
        "`tcp.is_connected_to_host()`",
        "`tcp.get_status() == StreamPeerTCP.STATUS_CONNECTED`, after `tcp.poll()`",
    ),
    Difference(r"^func _idle\(", "func _process(", "`SceneTree._idle`", "`SceneTree._process`"),
    Difference(r'"text_entered"', '"text_submitted"', "`LineEdit.text_entered`", "`LineEdit.text_submitted`"),
    Difference(r"\binstance\(\)", "instantiate()", "`scene.instance()`", "`scene.instantiate()`"),
)

SCENE_DIFFERENCES = (
    Difference(r"^(\[gd_scene .*)format=2\]", r"\1format=3]", "scene `format=2`", "`format=3`"),
    Difference(r" id=(\d+)\]", r' id="\1"]', "`id=1`", '`id="1"`'),
    Difference(r"ExtResource\( (\d+) \)", r'ExtResource("\1")', "`ExtResource( 1 )`", '`ExtResource("1")`'),
    Difference(r"^margin_", "offset_", "`margin_left`", "`offset_left`"),
)

PROJECT_DIFFERENCES = (
    Difference(r"^config_version=4", "config_version=5", "`config_version=4`", "`config_version=5`"),
    Difference(
        r'PoolStringArray\( "(\w+)" \)',
        r'PackedStringArray("res://addons/\1/plugin.cfg")',
        "a plugin is enabled by its folder's name",
        "by its plugin.cfg",
    ),
)

DIFFERENCES = {".gd": SCRIPT_DIFFERENCES, ".tscn": SCENE_DIFFERENCES, ".godot": PROJECT_DIFFERENCES, ".cfg": ()}


def convert(text: str, suffix: str) -> str:
    """Returns a file of the Godot 3 project as it must be in the Godot 4 one."""
    lines = []
    for line in text.splitlines():
        if line.endswith("#@3"):
            continue
        converted = re.sub(r"^(\t*)#@4 ", r"\1", line)
        for difference in DIFFERENCES[suffix]:
            converted = re.sub(difference.pattern, difference.replacement, converted)
        lines.append(converted)
    return "\n".join(lines) + "\n"


def converted_files() -> dict[Path, str]:
    """Returns the text of every file of the Godot 4 project by its path in it."""
    return {
        path.relative_to(SOURCE): convert(path.read_text(encoding="utf-8"), path.suffix)
        for path in sorted(SOURCE.rglob("*"))
        if path.suffix in TEXT_SUFFIXES and ".import" not in path.parts
    }


def out_of_step() -> list[str]:
    """Returns the files of godot4/ that are missing, other than they must be, or too many."""
    files = converted_files()
    found = {path.relative_to(TARGET) for path in TARGET.rglob("*") if path.suffix in TEXT_SUFFIXES}
    wrong = [path for path, text in files.items() if path not in found or (TARGET / path).read_text("utf-8") != text]
    return sorted(str(path) for path in {*wrong, *(found - files.keys())})


def main(arguments: list[str]) -> int:
    """Runs the command; returns its exit status."""
    if arguments == ["--list"]:
        print("| Godot 3 | Godot 4 |\n|---|---|")
        for table in DIFFERENCES.values():
            for difference in table:
                print(f"| {difference.godot3} | {difference.godot4} |")
        return 0
    if arguments == ["--check"]:
        wrong = out_of_step()
        print("\n".join(f"out of step: {path}" for path in wrong) or "godot4/ is in step with godot3/")
        return 1 if wrong else 0
    if arguments:
        print(__doc__)
        return 2
    for path, text in converted_files().items():
        (TARGET / path).parent.mkdir(parents=True, exist_ok=True)
        (TARGET / path).write_text(text, encoding="utf-8")
    print(f"wrote {len(converted_files())} files to {TARGET.name}/")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
