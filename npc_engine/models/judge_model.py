"""Which classifier judges replies: the one that comes with the package, or one of the user's own."""

from __future__ import annotations

from npc_engine.config import EngineConfig
from npc_engine.errors import ConfigError
from npc_engine.inference.classifier import PairClassifier
from npc_engine.models.installed import find_installed


def load_judge_model(config: EngineConfig) -> PairClassifier:
    """Load the classifier that `config.nli` names: from the cache, or else from the package.

    Raises:
        UnknownModel, ModelNotInstalled, CorruptModel, InvalidModelName: As `find_installed`.
        ConfigError: The model of that name is no classifier.
    """
    model = find_installed(config.nli, config.cache_dir)
    if model.kind != "classifier":
        raise ConfigError(
            f"nli = {config.nli!r} is of kind {model.kind}, not a classifier",
            hint="`npc-engine models list` shows the kind of each; the built-in one is nli = nli",
        )
    return PairClassifier.load(model.path, config=config)
