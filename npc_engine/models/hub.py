"""Files from the model hub, through huggingface_hub's own endpoint, token, proxy and offline settings.

A transfer is resumed over HTTP where it stopped, also by a later process: `hf_hub_download` throws a partial file away.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from npc_engine.errors import DownloadFailed, HashMismatch, InvalidModelFile
from npc_engine.models.cache import CHUNK_BYTES, delete, disk_errors

_ATTEMPTS = 5
_PAUSE_S = 1.0
# httpx has limits of its own; requests waits for ever unless told.
_TIMEOUT_S = 10.0
# requests keeps back a piece until it is full, and a broken connection loses it.
_PIECE_BYTES = 1 << 14
_SIDE_FILES = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
# What a tokenizer is published as where it has no tokenizer.json; only the exporter reads these.
_OLDER_TOKENIZER_FILES = {
    "added_tokens.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spm.model",
    "vocab.json",
    "vocab.txt",
}


@dataclass(frozen=True)
class HubFile:
    """One file of a repository, and the hash it must have.

    Attributes:
        path: Path inside the repository.
        bytes: Size.
        algorithm: `sha256`; or `git-sha1`, the hub's only hash of a small file outside LFS.
        digest: Lower-case hexadecimal.
    """

    path: str
    bytes: int
    algorithm: str
    digest: str

    @property
    def name(self) -> str:
        """The last part of `path`: what the file is called on disk."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class HubRepository:
    """A repository at one commit: what it says of its licence, and all its files."""

    repo: str
    commit: str
    licence: str
    files: tuple[HubFile, ...]


def look_up(repo: str, revision: str) -> HubRepository:
    """Ask the hub what a repository holds.

    Raises:
        DownloadFailed: No network, no such repository or revision, or no access to it.
    """
    from huggingface_hub import HfApi

    with _hub_errors(repo):
        info = HfApi().model_info(repo, revision=revision, files_metadata=True)
    files = tuple(
        HubFile(
            sibling.rfilename,
            sibling.size or 0,
            "sha256" if sibling.lfs else "git-sha1",
            sibling.lfs.sha256 if sibling.lfs else sibling.blob_id or "",
        )
        for sibling in info.siblings or ()
    )
    licence = str(getattr(info.card_data, "license", None) or "NOASSERTION")
    return HubRepository(repo, info.sha or revision, licence, files)


def model_files(repository: HubRepository, wanted: str | None = None) -> tuple[HubFile, ...]:
    """Choose what the builder needs: the safetensors and their side files, or else the only GGUF.

    Args:
        repository: What `look_up` returned.
        wanted: Path of one GGUF in the repository, when the user named it.

    Raises:
        InvalidModelFile: There is nothing the builder reads, or several GGUF files and none named.
    """
    ggufs = [file for file in repository.files if file.path.endswith(".gguf")]
    if wanted:
        ggufs = [file for file in ggufs if file.path == wanted]
        if not ggufs:
            raise InvalidModelFile(f"{repository.repo} has no file {wanted!r}")
        return (ggufs[0],)
    weights = [file for file in repository.files if file.path == file.name and file.name.endswith(".safetensors")]
    if weights:
        beside = _SIDE_FILES | {"model.safetensors.index.json"}
        if not any(file.path == "tokenizer.json" for file in repository.files):
            beside |= _OLDER_TOKENIZER_FILES
        return (*weights, *(file for file in repository.files if file.path in beside))
    if len(ggufs) == 1:
        return (ggufs[0],)
    if ggufs:
        names = ", ".join(file.path for file in ggufs[:12])
        raise InvalidModelFile(
            f"{repository.repo} holds {len(ggufs)} GGUF files: {names}",
            hint=f"name one, such as {repository.repo}/{ggufs[0].path}",
        )
    raise InvalidModelFile(f"{repository.repo} holds neither safetensors nor GGUF weights")


def download(repo: str, revision: str, file: HubFile, target: Path, on_bytes: Callable[[int], None]) -> str:
    """Fetch one file to `target`, going on where an earlier call stopped.

    Args:
        repo: Repository id.
        revision: Branch, tag or commit.
        file: Which file, and the hash that it must have.
        target: Where it goes once it is verified; until then it grows beside it with the suffix `.part`.
        on_bytes: Called with the bytes that are there.

    Returns:
        The file's SHA-256 as measured.

    Raises:
        DownloadFailed: As `look_up`; or the connection broke `_ATTEMPTS` times without a byte. The part stays.
        HashMismatch: The content is not what was asked for. The part was deleted.
    """
    from huggingface_hub import hf_hub_url

    if target.is_file():
        measured, as_published = _measure(target, file)
        if as_published == file.digest:
            return measured
        delete(target)
    # The digest in the name keeps parts of two versions of one file apart.
    partial = target.with_name(f"{target.name}.{file.digest[:12]}.part")
    url = hf_hub_url(repo, file.path, revision=revision)
    size = partial.stat().st_size if partial.exists() else 0
    attempts = _ATTEMPTS
    while size < file.bytes:
        try:
            with disk_errors(partial), _hub_errors(f"{repo}/{file.path}"):
                _append(url, partial, on_bytes)
        except DownloadFailed as error:
            attempts -= 1
            grown = partial.stat().st_size if partial.exists() else 0
            if grown > size:
                attempts = _ATTEMPTS
            elif attempts <= 0 or not isinstance(error, _Interrupted):
                raise
            size = grown
            time.sleep(_PAUSE_S)
        else:
            break
    measured, as_published = _measure(partial, file)
    if as_published != file.digest:
        delete(partial)
        raise HashMismatch(
            f"{repo}/{file.path}: {file.algorithm} is {as_published}, expected {file.digest}; the file was deleted",
            hint="pull again; if it stays so, the hub serves another file than the pinned one",
        )
    partial.replace(target)
    return measured


class _Interrupted(DownloadFailed):
    """The connection broke: worth another try, unlike a refusal."""


def _append(url: str, partial: Path, on_bytes: Callable[[int], None]) -> None:
    # Documented in huggingface_hub.utils, but not in its __all__.
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    start = partial.stat().st_size if partial.exists() else 0
    # Without `identity` the server may compress, and a range of compressed bytes continues nothing.
    headers = {**build_hf_headers(), "Range": f"bytes={start}-", "Accept-Encoding": "identity"}
    with _stream(url, headers) as (status, chunks):
        resumed = status == 206
        done = start if resumed else 0
        with partial.open("ab" if resumed else "wb") as out:
            for chunk in chunks:
                out.write(chunk)
                done += len(chunk)
                on_bytes(done)


@contextmanager
def _stream(url: str, headers: dict[str, str]) -> Iterator[tuple[int, Iterator[bytes]]]:
    """The status and the body's pieces. huggingface_hub speaks through httpx since 1.0, before that requests."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

    session: Any = get_session()
    if _uses_httpx():
        with session.stream("GET", url, headers=headers, follow_redirects=True) as response:
            hf_raise_for_status(response)
            yield response.status_code, response.iter_bytes()
    else:
        with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
            hf_raise_for_status(response)
            yield response.status_code, response.iter_content(_PIECE_BYTES)


def _uses_httpx() -> bool:
    import huggingface_hub

    return int(huggingface_hub.__version__.split(".")[0]) >= 1


def _transport_error() -> type[Exception]:
    """The base class of what the HTTP library under huggingface_hub raises for a broken connection.

    The library is found by its session: requests before 1.0, httpx from there, httpx2 from 2.4.
    """
    from huggingface_hub import get_session

    library = import_module(type(get_session()).__module__.partition(".")[0])
    broken: type[Exception] = library.HTTPError if _uses_httpx() else library.RequestException
    return broken


def _measure(path: Path, file: HubFile) -> tuple[str, str]:
    """The SHA-256, and the digest in the file's own algorithm."""
    sha256 = hashlib.sha256()
    git = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            sha256.update(chunk)
            if file.algorithm == "git-sha1":
                git.update(chunk)
    return sha256.hexdigest(), sha256.hexdigest() if file.algorithm == "sha256" else git.hexdigest()


@contextmanager
def _hub_errors(what: str) -> Iterator[None]:
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise DownloadFailed(
            f"{what}: the publisher asks you to accept the licence first",
            hint="accept it on the model's page, then: hf auth login",
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        raise DownloadFailed(
            f"{what}: not on the hub, or not visible to you ({type(error).__name__})",
            hint="check the name; for a private repository: hf auth login",
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise DownloadFailed(f"{what}: HF_HUB_OFFLINE is set", hint="unset it to use the hub") from error
    except errors.HFValidationError as error:
        raise DownloadFailed(f"{what}: {error}", hint="a hub id is org/name") from error
    except errors.HfHubHTTPError as error:
        raise DownloadFailed(
            f"{what}: the hub answered {str(error).strip().splitlines()[0]}", hint="try again later"
        ) from error
    except _transport_error() as error:
        raise _Interrupted(
            f"{what}: no connection ({type(error).__name__}: {error})",
            hint="check the network and proxy, then run the same command to go on",
        ) from error
