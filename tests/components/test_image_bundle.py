"""From real digits to a bundle that the agent reads: every step that is not the same as for sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.artifacts import read_gates, read_json, write_json
from components.handwritten_digits.component import HandwrittenDigitsParameters
from components.handwritten_digits.executor import execute as write_digits
from components.image_evaluator.component import ImageEvaluatorParameters
from components.image_example_gen.component import ImageExampleGenParameters
from components.image_example_gen.executor import execute as generate
from components.image_packager.component import ImagePackagerParameters
from components.image_packager.executor import execute as package
from components.image_transform.component import ImageTransformParameters
from components.image_transform.executor import execute as transform
from components.infra_validator.component import InfraValidatorParameters
from components.infra_validator.executor import execute as validate
from components.trainer.component import TrainerParameters
from edge_agent import selftest
from edge_agent.bundle.archive import read
from edge_agent.pictures.classifier import PictureClassifier
from edge_agent.sources.picture import read_picture
from pipeline.recipes.image_classification import recipe
from tests.fixtures.apart import THREADS, with_tensorflow

pytestmark = pytest.mark.slow


@with_tensorflow
def learn(root: Path) -> None:
    """The steps that need TensorFlow: a short training, conversion, evaluation."""
    from components.converter.component import ConverterParameters
    from components.converter.executor import execute as convert
    from components.image_evaluator.executor import execute as evaluate
    from components.trainer.executor import execute as train

    parameters = TrainerParameters(
        architecture="mobilenet_v1",
        widths=(8, 16),
        epochs=3,
        examples_per_epoch=1920,
        ema=0.9,
        learning_rate=0.005,
        mixup=0.0,
        shift_frames=1.0,
        threads=THREADS,
    )
    features, model = {"features": root / "features"}, root / "model"
    train(features, {"model": model}, parameters)
    write_json(root / "model" / "lineage.json", {"component": "Trainer", "cache_key": "b" * 64})
    convert({**features, "model": model}, {"model": root / "int8"}, ConverterParameters())
    evaluate(
        {
            "examples": root / "examples",
            **features,
            "int8_model": root / "int8",
            "float_model": model,
            "teacher": model,
        },
        {"evaluation": root / "evaluation"},
        ImageEvaluatorParameters(),
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for name in (
        "digits", "examples", "features", "model", "int8", "evaluation", "infra", "bundle"
    ):  # fmt: skip
        (folder / name).mkdir()
        write_json(folder / name / "lineage.json", {"component": name, "cache_key": "a" * 64})
    write_digits({}, {"recordings": folder / "digits"}, HandwrittenDigitsParameters(most=40))
    (folder / "digits" / "lineage.json").unlink()
    generate(
        {"recordings": folder / "digits"},
        {"examples": folder / "examples"},
        ImageExampleGenParameters(shards=2),
    )
    transform(
        {"examples": folder / "examples"},
        {"features": folder / "features"},
        ImageTransformParameters(height=16, width=16, train_views=1, eval_views=2),
    )
    learn(folder)
    validate(
        {"features": folder / "features", "model": folder / "int8"},
        {"result": folder / "infra"},
        InfraValidatorParameters(rows=20, random_rows=10, latency_runs=5),
    )
    package(
        {
            "examples": folder / "examples",
            "features": folder / "features",
            "trained": folder / "model",
            "model": folder / "int8",
            "evaluation": folder / "evaluation",
            "infra_validation": folder / "infra",
        },
        {"bundle": folder / "bundle"},
        ImagePackagerParameters(licence="CC0-1.0"),
    )
    return folder


def test_the_digits_are_learned_and_held_against_baselines(root: Path):
    evaluation = read_json(root / "evaluation" / "evaluation.json")
    assert evaluation["int8_accuracy"] > 0.35  # chance is 0.1
    assert evaluation["baselines"]["majority"] < 0.2 < evaluation["baselines"]["nearest_mean"]
    assert evaluation["paired"]["views"] == 3
    gates = {gate.name: gate for gate in read_gates(root / "evaluation")}
    assert {"int8_drop", "int8_agreement", "better_than_majority", "weakest_label"} == set(gates)
    assert gates["better_than_majority"].passed
    assert all(gate.passed for gate in read_gates(root / "infra"))


def test_the_bundle_decides_a_picture_as_the_evaluator_did(root: Path):
    bundle = read(root / "bundle" / "candidate.bundle")
    assert bundle.manifest.workload == "image_classification"
    assert (bundle.manifest.schema_version, bundle.manifest.labels) == (
        "1.3",
        tuple("0123456789"),
    )
    assert selftest.run(bundle).vectors == 8
    classifier = PictureClassifier(bundle.manifest, bundle.files, runtime="litert")
    described = read_json(root / "features" / "features.json")["splits"]["test"]["paths"]
    said = [
        classifier.labels[int(classifier.classify(read_picture(root / "digits" / path)).argmax())]
        for path in described
    ]
    right = sum(label == path.split("/")[0] for label, path in zip(said, described, strict=True))
    evaluation = read_json(root / "evaluation" / "evaluation.json")
    assert right / len(described) == pytest.approx(evaluation["int8_accuracy"])


def test_the_last_release_is_scored_on_today_s_pictures(root: Path):
    from components.image_evaluator.executor import accuracy_of_release

    evaluation = read_json(root / "evaluation" / "evaluation.json")
    found = accuracy_of_release(root / "bundle", root / "examples")
    assert found == pytest.approx(evaluation["int8_accuracy"])


def test_the_card_says_that_writers_may_be_in_both(root: Path):
    card = read(root / "bundle" / "candidate.bundle").files["model_card.md"].decode()
    assert "the same one may be in training and in the test" in card
    assert "None" not in card


def test_the_recipe_has_the_steps_of_keyword_spotting_by_name():
    from pipeline.recipes import keyword_spotting

    words = keyword_spotting.recipe(Path("r"), Path("d"), ())
    pictures = recipe(Path("r"), Path("d"), ())
    assert {c.id for c in pictures.components} <= {c.id for c in words.components}
    assert recipe(Path("r"), None, ()).components[0].id == "HandwrittenDigits"
