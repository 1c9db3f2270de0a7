import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_engine.errors import SheetError, SheetNotFound, SheetSyntax, SheetTooLarge
from npc_engine.sheets.yaml_reader import MAX_FILE_BYTES, Mark, read_yaml


def read(tmp_path: Path, content: str | bytes) -> object:
    file = tmp_path / "sheet.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return read_yaml(file).data


def test_the_scalars_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    text = "a: yes\nb: true\nc: 12\nd: -1.5\ne: null\nf:\ng: '12'\nh: 1:30\ni: 2024-01-01\nj: ~\nk: .5\nno: off\n7: x\n"
    assert read(tmp_path, text) == {
        "a": "yes",
        "b": True,
        "c": 12,
        "d": -1.5,
        "e": None,
        "f": None,
        "g": "12",
        "h": "1:30",
        "i": "2024-01-01",
        "j": None,
        "k": 0.5,
        "no": "off",
        "7": "x",
    }


def test_marks_say_where_keys_and_values_stand(tmp_path: Path) -> None:
    file = tmp_path / "sheet.yaml"
    file.write_text("# first\na:\n  - b: 'x'\n    c: [1, 2]\n", encoding="utf-8")
    document = read_yaml(file)
    assert document.keys[("a", 0, "c")] == Mark(4, 5)
    assert document.values[("a", 0, "b")] == Mark(3, 8, 1)
    assert document.values[("a", 0, "c", 1)] == Mark(4, 12)


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfa: 1\r\nb: two\r\n") == {"a": 1, "b": "two"}


def test_an_empty_file_is_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "") is None
    assert read(tmp_path, "# only a comment\n") is None


BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("content", "line", "problem", "hint"),
    [
        ("a: 1\na: 2\n", 2, "key `a` again, first on line 1", "merge"),
        ("a:\n\tb: 1\n", 2, "\\t", "spaces, not tabs"),
        ("a: [1, 2\nb: 3\n", 2, "expected", ""),
        ("a: he said: no\n", 1, "mapping values", "quotes"),
        ("a: 'x\n", 2, "end of stream", ""),
        ("a: &x 1\nb: *x\n", 1, "anchors", "quotes"),
        ("a: *x\n", 1, "anchors", "quotes"),
        ("a: &a [*a]\n", 1, "anchors", "quotes"),
        (BOMB, 1, "anchors", "quotes"),
        ("a: !!python/object/apply:os.system [x]\n", 1, "tag", "quotes"),
        ("a: 1\n---\nb: 2\n", 2, "second document", "remove"),
        ("? [a]\n: 1\n", 1, "key is one piece of text", ""),
        ("- " * 40 + "x\n", 1, "nested deeper", ""),
        ("[" * 5000, 1, "nested deeper", ""),
        ("a: 1\nb: x\x00y\n", 2, "U+0000", "delete"),
        ("a: " + "9" * 5000 + "\n", 1, "a number of 5000 characters", "quotes"),
        (b"a: 1\nb: caf\xe9\n", 2, "not UTF-8", "UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, "not UTF-8", "UTF-8"),
        ("%YAML 2.0\n---\na: 1\n", 1, "incompatible", ""),
    ],
)
def test_what_is_refused_names_its_line(
    tmp_path: Path, content: str | bytes, line: int, problem: str, hint: str
) -> None:
    with pytest.raises(SheetSyntax) as caught:
        read(tmp_path, content)
    assert caught.value.line == line
    assert problem in caught.value.problem
    assert hint in caught.value.hint
    assert caught.value.path == tmp_path / "sheet.yaml"


def test_a_large_file_is_refused_without_being_read(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(SheetTooLarge):
        read(tmp_path, b"a: " + b"x" * (50 * MAX_FILE_BYTES))
    assert time.monotonic() - started < 5


def test_a_missing_file_and_a_folder_are_not_found(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(SheetNotFound):
            read_yaml(path)


PIECES = st.sampled_from(
    ["a: ", "- ", "\n", "  ", "\t", "'", '"', "[", "]", "{", "}", "&x ", "*x", "!t ", "|\n", "#", "é", "7"]
)


@given(
    st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(lambda parts: "".join(parts).encode("utf-8")))
)
def test_any_bytes_give_data_or_a_sheet_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(content)
    error: SheetError | None = None
    try:
        document = read_yaml(file)
    except SheetError as caught:
        error = caught
    assert error is not None or () in document.values
