from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npc_engine.config import EngineConfig
from npc_engine.inference.snapshot_codec import CODECS, Encoded, KvLayout, SnapshotDtype
from npc_engine.inference.snapshot_files import SUFFIX, SnapshotFiles, model_fingerprint, open_snapshot_files

LAYOUT = KvLayout(parts=4, heads=2, head_dim=8, dtype=np.dtype(np.float32))
IDS = [5, 6, 7, 8]


def files_in(folder: Path, *, codec: SnapshotDtype = "float", **changes: object) -> SnapshotFiles:
    options = {"max_bytes": 1 << 20, "fingerprint": "model", "codec": CODECS[codec]}
    return SnapshotFiles(folder, **(options | changes))  # type: ignore[arg-type]


def pieces_of(*lengths: int, codec: SnapshotDtype = "float", seed: int = 0) -> tuple[Encoded, ...]:
    rng = np.random.default_rng(seed)
    shapes = [(LAYOUT.parts, LAYOUT.heads, length, LAYOUT.head_dim) for length in lengths]
    return tuple(CODECS[codec].encode(rng.standard_normal(shape).astype(np.float32)) for shape in shapes)


def saved(folder: Path, *, seed: int = 0, token_ids: list[int] = IDS, **changes: object) -> Path:
    """Write one prefix; returns its file."""
    files = files_in(folder, **changes)
    before = set(folder.glob(f"*{SUFFIX}"))
    files.save(token_ids, LAYOUT, pieces_of(len(token_ids), seed=seed))
    files.close()
    (path,) = set(folder.glob(f"*{SUFFIX}")) - before
    return path


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("lengths", [(4,), (1, 3), (1, 1, 2), (3, 9)])
def test_what_was_saved_is_loaded_to_the_last_bit(
    codec: SnapshotDtype, lengths: tuple[int, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "made" / "when needed"
    pieces = pieces_of(*lengths, codec=codec)
    files = files_in(folder, codec=codec)
    assert files.load(IDS, LAYOUT) is None
    files.save(IDS, LAYOUT, pieces)  # of a last piece that goes on beyond the prefix only the beginning
    files.close()
    again = files_in(folder, codec=codec)
    loaded = again.load(IDS, LAYOUT)
    assert loaded is not None
    values = np.concatenate([piece.decode(0, piece.num_tokens) for piece in loaded], axis=2)
    expected = np.concatenate([piece.decode(0, piece.num_tokens) for piece in pieces], axis=2)
    np.testing.assert_array_equal(values, expected[:, :, : len(IDS)])
    assert (again.num_loaded, again.num_corrupt, again.problem) == (1, 0, "")
    assert again.nbytes == sum(path.stat().st_size for path in folder.iterdir())


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_no_altered_file_is_ever_loaded(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("files")
    path = saved(folder)
    content = bytearray(path.read_bytes())
    how = data.draw(st.sampled_from(["flip", "cut", "add", "empty"]))
    if how == "flip":
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "cut":
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    elif how == "add":
        content += data.draw(st.binary(min_size=1, max_size=40))
    else:
        content.clear()
    path.write_bytes(content)
    files = files_in(folder)
    assert files.load(IDS, LAYOUT) is None
    assert (files.num_corrupt, path.exists(), files.problem) == (1, False, "")
    files.save(IDS, LAYOUT, pieces_of(4))
    files.wait()
    assert files.load(IDS, LAYOUT) is not None
    files.close()


def test_a_wrong_file_is_logged_with_its_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = saved(tmp_path)
    other = saved(tmp_path, token_ids=[1, 2, 3, 4])
    other.replace(path)
    assert files_in(tmp_path).load(IDS, LAYOUT) is None
    assert "NPC142" in caplog.text
    assert "not of this model, format and prefix" in caplog.text


@pytest.mark.parametrize(
    "other",
    [
        lambda files: files.load([5, 6, 7, 9], LAYOUT),
        lambda files: files.load(IDS[:3], LAYOUT),
        lambda files: files_in(files.folder, fingerprint="another model").load(IDS, LAYOUT),
        lambda files: files_in(files.folder, codec="int8").load(IDS, LAYOUT),
        lambda files: files.load(IDS, KvLayout(parts=4, heads=2, head_dim=8, dtype=np.dtype(np.float16))),
    ],
    ids=["tokens", "fewer tokens", "model", "codec", "dtype"],
)
def test_another_key_is_another_file(other: Callable[[SnapshotFiles], object], tmp_path: Path) -> None:
    saved(tmp_path)
    assert other(files_in(tmp_path)) is None
    assert files_in(tmp_path).load(IDS, LAYOUT) is not None


def test_the_least_recently_used_files_leave_and_the_budget_is_kept(tmp_path: Path) -> None:
    clock = itertools.count(1000).__next__
    size = saved(tmp_path / "one").stat().st_size
    files = files_in(tmp_path / "many", max_bytes=3 * size, wall_clock=lambda: float(clock()))
    for number in range(3):
        files.save([number, 1, 1, 1], LAYOUT, pieces_of(4))
        files.wait()
        os.utime(max(files.folder.iterdir(), key=lambda path: path.stat().st_ctime_ns), (number, number))
    assert files.load([0, 1, 1, 1], LAYOUT) is not None  # now used later than the second
    for number in (3, 4):
        files.save([number, 1, 1, 1], LAYOUT, pieces_of(4))
        files.wait()
    assert files.nbytes == sum(path.stat().st_size for path in files.folder.iterdir()) == 3 * size
    assert [files.load([number, 1, 1, 1], LAYOUT) is not None for number in range(5)] == [
        True,
        False,
        False,
        True,
        True,
    ]
    files.save(list(range(100)), LAYOUT, pieces_of(100))  # larger than all of the budget
    files.close()
    assert files.nbytes == 3 * size


def test_what_a_crash_left_is_cleared_away_after_a_while(tmp_path: Path) -> None:
    old, new = tmp_path / "old.tmp", tmp_path / "new.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    saved(tmp_path)
    assert (old.exists(), new.exists()) == (False, True)


def _write_many(folder: Path, seed: int) -> None:
    files = files_in(folder, max_bytes=20_000)
    for number in range(30):
        files.save([number % 7, 1, 1, 1], LAYOUT, pieces_of(4, seed=number % 7))
        files.load([(number * seed) % 7, 1, 1, 1], LAYOUT)
    files.close()
    assert (files.problem, files.num_corrupt) == ("", 0)


def test_two_processes_may_share_a_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_write_many, args=(tmp_path, seed)) for seed in (3, 5)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
        assert other.exitcode == 0
    files = files_in(tmp_path)
    for number in range(7):
        pieces = files.load([number, 1, 1, 1], LAYOUT)
        if pieces is not None:
            np.testing.assert_array_equal(pieces[0].decode(0, 4), pieces_of(4, seed=number)[0].decode(0, 4))
    assert (files.num_corrupt, list(tmp_path.glob("*.tmp"))) == (0, [])


def test_threads_of_one_process_may_share_a_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: _write_many(tmp_path, seed), range(1, 5)))


@contextmanager
def full_disk() -> Iterator[None]:
    """Files of this process cannot grow beyond 64 bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(os.name == "nt", reason="Windows limits no file sizes")
def test_a_full_disk_is_told_once_and_leaves_nothing_half_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = files_in(tmp_path)
    with full_disk():
        for number in range(3):
            files.save([number, 1], LAYOUT, pieces_of(2))
            files.wait()
    assert files.problem
    assert caplog.text.count("NPC141") == 1
    assert list(tmp_path.iterdir()) == []
    files.close()


def test_a_folder_that_cannot_be_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    files = files_in(tmp_path / "file" / "prefixes")
    assert files.load(IDS, LAYOUT) is None
    files.save(IDS, LAYOUT, pieces_of(4))
    assert files.load(IDS, LAYOUT) is None
    files.close()
    assert (caplog.text.count("NPC141"), files.nbytes) == (1, 0)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="whoever runs this may write everywhere")
def test_a_folder_that_is_read_only_still_serves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved(tmp_path)
    tmp_path.chmod(0o500)
    files = files_in(tmp_path)
    files.save([1, 2], LAYOUT, pieces_of(2))
    files.close()
    assert "NPC141" in caplog.text
    assert files.load(IDS, LAYOUT) is not None


def test_a_model_is_known_by_its_manifest_or_else_by_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "decoder.onnx").write_bytes(b"graph")
    bare = model_fingerprint(tmp_path, "cpu")
    assert model_fingerprint(tmp_path, "cpu") == bare != model_fingerprint(tmp_path, "cuda")
    (tmp_path / "decoder.onnx").write_bytes(b"another")
    assert model_fingerprint(tmp_path, "cpu") != bare
    (tmp_path / "manifest.json").write_text("{}")
    listed = model_fingerprint(tmp_path, "cpu")
    (tmp_path / "decoder.onnx").write_bytes(b"not read: the manifest has its hash")
    assert model_fingerprint(tmp_path, "cpu") == listed
    (tmp_path / "manifest.json").write_text('{"files": 1}')
    assert model_fingerprint(tmp_path, "cpu") != listed


def test_the_settings_say_where_and_whether(tmp_path: Path) -> None:
    config = {"cache_dir": tmp_path, "prefix_store_disk_bytes": 1000}
    opened = open_snapshot_files(EngineConfig(**config), fingerprint="m")  # type: ignore[arg-type]
    assert opened is not None
    assert (opened.folder, opened.max_bytes) == (tmp_path / "prefixes", 1000)
    elsewhere = open_snapshot_files(EngineConfig(**config, prefix_store_dir=tmp_path / "x"), fingerprint="m")  # type: ignore[arg-type]
    assert elsewhere is not None
    assert elsewhere.folder == tmp_path / "x"
    for off in ({"prefix_store_disk_bytes": 0}, {"prefix_store_bytes": 0}):
        assert open_snapshot_files(EngineConfig(**(config | off)), fingerprint="m") is None  # type: ignore[arg-type]
