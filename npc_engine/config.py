"""One frozen configuration, from defaults, a TOML file, the environment and flags (the last wins)."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from npc_engine.errors import ConfigError

Device = Literal["auto", "cpu", "cuda"]
Guard = Literal["off", "rules", "judge", "rerank", "self_consistency", "self_conscious", "cautious"]

# The sampler divides by it; below this only 0 is meant.
MIN_TEMPERATURE = 0.01

APP_NAME = "npc-engine"


def _check_temperature(value: float) -> float:
    if 0 < value < MIN_TEMPERATURE:
        raise ValueError(f"must be 0, or at least {MIN_TEMPERATURE}")
    return value


_CONTROL = "engine-wide control, where the sheet sets none: docs/controls.md"

Temperature = Annotated[float, AfterValidator(_check_temperature)]


def default_cache_dir() -> Path:
    """The user's model cache: `NPC_ENGINE_CACHE_DIR`, else the platform's cache folder."""
    override = os.environ.get("NPC_ENGINE_CACHE_DIR")
    return Path(override) if override else Path(platformdirs.user_cache_dir(APP_NAME, appauthor=False))


def default_threads() -> int:
    """Processors this process may use (the affinity mask where the system has one), at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


class EngineConfig(BaseSettings):
    """Settings of one engine process. Frozen: a running engine's settings do not change.

    Each field may be set by the environment as `NPC_ENGINE_<FIELD>`.
    """

    model_config = SettingsConfigDict(env_prefix="NPC_ENGINE_", frozen=True, extra="forbid", toml_file=None)

    # Models and device
    model: str = Field("base", description="dialogue model: a profile or an installed model's name")
    encoder: str = Field("encoder", description="sentence encoder for grounding")
    nli: str = Field("nli", description="classifier that judges replies: the built-in one or an installed one's name")
    device: Device = Field("auto", description="auto says why it fell back; cuda that cannot be had is an error")
    cache_dir: Path = Field(default_factory=default_cache_dir, description="where models live")
    threads: int = Field(default_factory=default_threads, ge=1, le=256, description="inference threads")

    # Inference
    max_context_tokens: int = Field(2048, ge=256, le=32768, description="KV slot length, tokens")
    num_slots: int = Field(4, ge=1, le=64, description="sequences that can run or be parked on the device at once")
    kv_budget_bytes: int | None = Field(None, ge=0, description="most bytes of KV slots; none: all at full length")
    prefill_chunk_tokens: int = Field(128, ge=8, le=2048, description="prompt tokens per scheduler step")
    prefill_graph: bool = Field(True, description="prompts run on a model's int8 prefill graph where it has one")
    max_waiting: int = Field(64, ge=1, description="requests waiting for a slot before Overloaded")
    prefix_store_bytes: int = Field(1 << 30, ge=0, description="host memory for KV snapshots")
    prefix_store_dir: Path | None = Field(None, description="folder of prefix files; none: `prefixes` in the cache")
    prefix_store_disk_bytes: int = Field(4 << 30, ge=0, description="disk for prefix files; 0 writes and reads none")
    kv_snapshot_dtype: Literal["float", "int8"] = Field(
        "float", description="KV snapshots: exact, or a quarter of that"
    )

    # Characters
    sheets: tuple[Path, ...] = Field((), description="sheet files or folders; empty means the shipped ones")
    watch_sheets: bool = Field(False, description="changed sheets are taken while the server runs")

    # Server
    address: str = Field("tcp://127.0.0.1:5570", description="ZeroMQ address the server binds")
    curve_secret_key_file: Path | None = Field(None, description="server CURVE certificate; needed off loopback")
    websocket_address: str | None = Field(
        None, description="WebSocket address, loopback only, such as `ws://127.0.0.1:5571`; none: that door is off"
    )
    websocket_origins: tuple[str, ...] = Field(
        (), description="origins of the pages that may use it, such as `https://game.example`; others are refused"
    )
    max_frame_bytes: int = Field(1 << 20, ge=1024, description="largest message accepted")
    max_message_depth: int = Field(16, ge=4, description="deepest nesting accepted in a message")
    max_text_chars: int = Field(2000, ge=16, description="longest player line or world event")
    max_conversations_per_client: int = Field(256, ge=1, description="open conversations a client")
    max_clients: int = Field(1024, ge=1, description="connected clients")
    client_timeout_s: float = Field(600.0, gt=0, description="silent clients are dropped after this")
    shutdown_grace_s: float = Field(5.0, ge=0, description="how long running turns may finish at shutdown")

    # Dialogue
    turn_deadline_s: float = Field(60.0, gt=0, description="a reply always ends by then, authored if need be")
    action_timeout_s: float = Field(10.0, gt=0, description="how long the game may take for an action_result")
    temperature: Temperature = Field(0.4, ge=0, le=2, description="of replies; 0 always takes the likeliest word")
    guard: Guard = Field("judge", description="how a sentence is judged before it is heard: docs/judge.md")
    contradiction_threshold: float = Field(
        0.6, gt=0, le=1, description="probability from which a sentence contradicts what the character knows"
    )
    first_sentence_candidates: int = Field(3, ge=1, le=16, description="samples of a reply's first sentence at most")
    sentence_resamples: int = Field(2, ge=0, le=16, description="further samples of a later sentence that was rejected")
    read_ahead: bool = Field(True, description="read each exchange into the cache while the player thinks")
    role_play: float | None = Field(None, ge=0, le=1, description=_CONTROL)
    max_words: int | None = Field(None, ge=4, le=300, description=_CONTROL)
    max_sentences: int | None = Field(None, ge=1, le=12, description=_CONTROL)
    quirk_budget: int | None = Field(None, ge=0, le=20, description=_CONTROL)
    cooldown_turns: int | None = Field(None, ge=0, le=100, description=_CONTROL)
    trait_saturation: float | None = Field(None, ge=0, le=1, description=_CONTROL)
    task_priority: float | None = Field(None, ge=0, le=1, description=_CONTROL)
    synchrony: float | None = Field(None, ge=0, le=1, description=_CONTROL)
    seed: int | None = Field(None, ge=0, lt=1 << 32, description="base seed of sampling; None draws one a conversation")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment, then the TOML file, then defaults."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_config(path: Path | None = None, **overrides: Any) -> EngineConfig:
    """Read the configuration.

    Args:
        path: A TOML file, or None for none.
        **overrides: Fields by name, as flags set them; None values are ignored.

    Raises:
        ConfigError: The file is missing, cannot be read or is not TOML, a field is unknown, or a value is out of range.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    unknown = sorted(set(given) - set(EngineConfig.model_fields))
    if unknown:
        raise ConfigError(f"unknown settings: {', '.join(unknown)}")
    if path is not None:
        _check_readable(path)

    class _WithFile(EngineConfig):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return _WithFile(**given) if path else EngineConfig(**given)
    except ValidationError as error:
        problems = [_problem(item["loc"], item["type"], item["msg"], item["input"]) for item in error.errors()]
        raise ConfigError("; ".join(problems), hint="docs/operations.md lists every setting and its range") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not a TOML file: {error}", hint="write each setting as: name = value") from error


def _check_readable(path: Path) -> None:
    hint = "pass --config FILE, or leave it out"
    try:
        if not path.is_file():
            raise ConfigError(f"configuration file not found: {path}", hint=hint)
        path.open("rb").close()
    except OSError as error:
        raise ConfigError(f"configuration file {path}: {error.strerror or error}", hint=hint) from error


def _problem(loc: tuple[int | str, ...], kind: str, message: str, value: Any) -> str:
    name = ".".join(map(str, loc))
    if kind == "extra_forbidden":
        near = get_close_matches(name, EngineConfig.model_fields, n=1)
        return f"unknown setting {name!r}" + (f", did you mean {near[0]!r}?" if near else "")
    return f"{name}: {message} (got {value!r})"
