import itertools

import numpy as np
import pytest

from npc_engine.config import EngineConfig
from npc_engine.errors import UnsupportedLabels
from npc_engine.guard.nli import NliJudge
from npc_engine.inference.classifier import PairClassifier
from npc_engine.inference.nli_labels import NLI_LABELS, label_columns
from tests.stub_classifier import write_stub_classifier

PAIRS = [("I sell swords.", "i sell swords"), ("the road is closed", "the road"), ("gold", "steel")]


def judge(folder, labels):
    write_stub_classifier(folder, labels=labels)
    classifier = PairClassifier.load(folder, config=EngineConfig(threads=1, device="cpu"))
    return NliJudge(classifier, name="stub"), classifier


@pytest.mark.parametrize("labels", list(itertools.permutations(NLI_LABELS)), ids="-".join)
async def test_columns_follow_the_models_own_labels(tmp_path, labels):
    nli, classifier = judge(tmp_path / "model", labels)
    scores, raw = await nli.scores(PAIRS), classifier.classify(PAIRS)
    for column, label in enumerate(("entailment", "neutral", "contradiction")):
        np.testing.assert_array_equal(scores[:, column], raw[:, labels.index(label)])
    np.testing.assert_array_equal(nli.scores_now(PAIRS), scores)
    assert (await nli.scores([])).shape == (0, 3)


@pytest.mark.parametrize(
    "labels",
    [
        (),
        ("entailment", "not_entailment"),
        ("LABEL_0", "LABEL_1", "LABEL_2"),
        ("entailment", "entailment", "contradiction"),
        ("entailment", "neutral", "contradiction", "other"),
    ],
)
def test_other_labels_are_listed_and_the_way_out_is_named(labels):
    with pytest.raises(UnsupportedLabels) as caught:
        label_columns(labels, model="mine")
    assert all(label in caught.value.message for label in labels)
    assert "--labels entailment,neutral,contradiction" in caught.value.hint


def test_case_does_not_matter():
    assert label_columns(["CONTRADICTION", "Neutral", " entailment "], model="mine") == (2, 1, 0)


def test_a_judge_refuses_a_model_of_other_labels(tmp_path):
    with pytest.raises(UnsupportedLabels, match="stub: its labels are yes, no"):
        judge(tmp_path / "model", ("yes", "no"))
