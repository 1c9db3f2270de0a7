"""The GDScript binding: both projects in step, parsed and linted, and the Godot 3 one run for real."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

BINDING = Path(__file__).resolve().parents[1]
ROOT = BINDING.parents[1]
GODOT = os.environ.get("GODOT", "godot3-server")
LIMIT_S = 120

needs_godot = pytest.mark.skipif(shutil.which(GODOT) is None, reason=f"needs {GODOT}")


def run_godot(project, script, home, **environment):
    """The standard output of a script that ended well and printed no script error."""
    homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), str(home))
    ran = subprocess.run(
        [GODOT, "--path", str(project), "-s", script],
        env={**os.environ, **homes, **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    told = ran.stdout + ran.stderr
    assert ran.returncode == 0, told
    assert "SCRIPT ERROR" not in told, told
    assert "ObjectDB" not in told, told
    return ran.stdout


@contextmanager
def conformance_server():
    command = [sys.executable, "-m", "npc_engine", "conformance-server"]
    # Its standard input is a pipe: the server ends with it.
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield json.loads(server.stdout.readline())
    finally:
        server.stdin.close()
        server.wait(LIMIT_S)
        server.stdout.close()


def make_godot4(*arguments):
    command = [sys.executable, str(BINDING / "make_godot4.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)


def test_godot4_is_in_step_with_godot3():
    checked = make_godot4("--check")
    assert checked.returncode == 0, checked.stdout


def test_a_file_out_of_step_is_told(tmp_path):
    shutil.copytree(BINDING, tmp_path / "gdscript")
    changed = tmp_path / "gdscript/godot4/addons/npc_engine/request.gd"
    changed.write_text(changed.read_text() + "# changed by hand\n")
    (tmp_path / "gdscript/godot4/left_over.gd").write_text("extends Node\n")
    command = [sys.executable, str(tmp_path / "gdscript/make_godot4.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert checked.returncode == 1
    assert checked.stdout.splitlines() == [
        "out of step: addons/npc_engine/request.gd",
        "out of step: left_over.gd",
    ]


def test_the_readme_lists_the_differences():
    readme = (BINDING / "README.md").read_text(encoding="utf-8")
    listed = readme.split("<!-- differences -->\n")[1].split("<!-- end -->")[0]
    assert listed == make_godot4("--list").stdout


def test_the_readme_keeps_its_steps_short():
    readme = (BINDING / "README.md").read_text(encoding="utf-8")
    steps = readme.split("## From an empty project")[1].split("\n## ")[0]
    assert len(re.findall(r"(?m)^\d\. ", steps)) <= 5
    blocks = re.findall(r"```gdscript\n(.*?)```", steps, re.DOTALL)
    assert len(blocks) == 2
    assert all(len(block.splitlines()) <= 20 for block in blocks)


@pytest.mark.parametrize("version", ["3", "4"])
@pytest.mark.parametrize("program", ["gdparse", "gdlint"])
def test_gdtoolkit_has_no_complaint(version, program):
    folder = os.environ.get(f"GDTOOLKIT_{version}")
    if folder is None:
        pytest.skip(f"needs GDTOOLKIT_{version}, the folder of gdtoolkit {version}'s programs")
    scripts = sorted(map(str, (BINDING / f"godot{version}").rglob("*.gd")))
    assert len(scripts) > 15
    ran = subprocess.run(
        [str(Path(folder) / program), *scripts], capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@needs_godot
@pytest.mark.binding
@pytest.mark.parametrize("seed", ["1", "2"])
def test_codec_zmtp_and_client_without_a_server(tmp_path, seed):
    told = run_godot(
        BINDING / "godot3", "tests/run_tests.gd", tmp_path, NPC_WIRE=str(ROOT / "tests/wire"), NPC_SEED=seed
    )
    num_held = int(re.search(r"(\d+) checks hold, 0 do not", told)[1])
    assert num_held > 4000


@needs_godot
@pytest.mark.binding
def test_the_sample_scene_sells_a_sword_and_leaves_in_mid_turn(tmp_path):
    with conformance_server() as place:
        told = run_godot(BINDING / "godot3", "tests/play_sample.gd", tmp_path, NPC_ADDRESS=place["zmq"])
    assert "ok the sample sold a sword" in told


@needs_godot
@pytest.mark.binding
def test_the_readme_leads_from_an_empty_project_to_a_talking_character(tmp_path):
    project = tmp_path / "game"
    shutil.copytree(BINDING / "godot3/addons", project / "addons")
    (project / "project.godot").write_text("config_version=4\n")
    steps = (BINDING / "README.md").read_text(encoding="utf-8").split("## From an empty project")[1]
    block = re.search(r"```gdscript\n(.*?)```", steps, re.DOTALL)[1]
    script = re.sub(r"(?m)^ {3}", "", block)
    with conformance_server() as place:
        # The conformance server has other characters, at another port.
        script = script.replace("tcp://127.0.0.1:5570", place["zmq"]).replace('"hesta"', '"mara"')
        script = script.replace("print(text)", "print(text)\n\tget_tree().quit()")
        (project / "talk.gd").write_text(script)
        (project / "main.gd").write_text(
            "extends SceneTree\nfunc _init():\n\tget_root().add_child(load('res://talk.gd').new())\n"
        )
        told = run_godot(project, "main.gd", tmp_path)
    assert "What do you sell?" in told.splitlines()
