"""New words from few recordings on a trained model: what they reach, and what old words lose.

    make bench-transfer                                 two new words beside eight, three ways
    make bench-transfer ARGS="--words left,go --epochs 20 --seed 2"

The base learns all words but two from the training list; then those two come with 20 recordings each, of
which two are in the validation list, by other people. Old words are compared clip by clip on the
validation and test lists and their fixed augmentations, new ones counted on the test list as recorded:
nobody in either is in training. The peer of each figure is what is demanded of a transfer.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from components.artifacts import MODEL, RECORDINGS, read_json
from components.base import Channel
from components.example_gen.component import ExampleGen
from components.trainer.component import Trainer, TrainerParameters
from components.transform.component import Transform
from components.word_transfer.component import WordTransfer, WordTransferParameters
from pipeline import root_lock
from pipeline.lineage.store import LineageStore
from pipeline.recipe import Recipe
from pipeline.runner import RunResult, run_recipe
from pipeline.ui.run_view import RunView
from tests.bench.table import Figure, data_folder, publish

RECORDINGS_EACH = {"train": 18, "val": 2}
_MOST_LOST, _LEAST_RECALL = 0.01, 0.85
_WAYS = {
    "every layer, replay and the old model's outputs": WordTransferParameters(),
    "the classifier alone, behind a frozen backbone": WordTransferParameters(
        trains="head", learning_rate=2e-3
    ),
    "every layer, without any protection": WordTransferParameters(replay=0.0, old_model_weight=0.0),
}


def main() -> None:
    """Trains the base, transfers in each way, and publishes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", default="stop,yes", help="the new ones")
    parser.add_argument("--epochs", type=int, default=14, help="of the base")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    words = arguments.words.split(",")
    data = data_folder("speech_commands_v2_subset")
    with tempfile.TemporaryDirectory() as folder:
        before, after = (_folder(Path(folder) / name, data) for name in ("before", "after"))
        _lists(before, data, words, {}, arguments.seed)
        _lists(after, data, words, RECORDINGS_EACH, arguments.seed)
        publish("transfer", list(_figures(Path(folder) / "root", before, after, arguments)))


def _figures(
    root: Path, before: Path, after: Path, arguments: argparse.Namespace
) -> Iterator[Figure]:
    training = TrainerParameters(epochs=arguments.epochs, seed=arguments.seed)
    examples = ExampleGen(recordings=Channel(RECORDINGS, path=before))
    transform = Transform(examples=examples.outputs["examples"])
    trainer = Trainer(training, features=transform.outputs["features"])
    made = _run(root, Recipe("base", (examples, transform, trainer)))
    base = made.artifacts["Trainer.model"]
    for way, parameters in _WAYS.items():
        examples = ExampleGen(recordings=Channel(RECORDINGS, path=after))
        transform = Transform(examples=examples.outputs["examples"])
        transfer = WordTransfer(
            dataclasses.replace(parameters, seed=arguments.seed),
            features=transform.outputs["features"],
            base=Channel(MODEL, path=base),
        )
        made = _run(root, Recipe("transfer", (examples, transform, transfer)))
        found = read_json(made.artifacts["WordTransfer.retention"] / "retention.json")
        old, new = found["old_words"], found["new_words"]
        yield _figure(f"{way}: old words before", old["float_accuracy"], 0.0)
        yield _figure("  old words lost, mean", old["drop"], _MOST_LOST)
        yield _figure("  old words lost, upper 95%", old["drop_upper_95"], _MOST_LOST)
        yield _figure(f"  new words, {new['n']} clips", new["recall"], _LEAST_RECALL)
        for word, recall in new["per_word"].items():
            yield _figure(f"  {word}", recall, _LEAST_RECALL)


def _run(root: Path, recipe: Recipe) -> RunResult:
    root.mkdir(exist_ok=True)
    store = LineageStore.at(root)
    try:
        with root_lock.hold(root) as lock, RunView() as view:
            return run_recipe(recipe, root, store, view, lock)
    finally:
        store.close()


def _folder(folder: Path, data: Path) -> Path:
    """A folder of links to the recordings, with lists to come."""
    folder.mkdir()
    for label in data.iterdir():
        if label.is_dir():
            (folder / label.name).symlink_to(label)
    return folder


def _lists(
    folder: Path, data: Path, words: Collection[str], recordings: Mapping[str, int], seed: int
) -> None:
    """Writes the lists: of each of `words` so many recordings by list and all in the last, or none at all."""
    for name in ("train", "val", "test"):
        paths = (data / f"{name}.txt").read_text().split()
        kept = [path for path in paths if path.partition("/")[0] not in words]
        if recordings and name == "test":
            kept = paths
        if name in recordings:
            draw = random.Random(seed)
            for word in sorted(words):
                found = [path for path in paths if path.startswith(f"{word}/")]
                kept += draw.sample(found, recordings[name])
        (folder / f"{name}.txt").write_text("\n".join(sorted(kept)) + "\n")
    if not recordings:
        for word in words:
            (folder / word).unlink()


def _figure(name: str, ours: float, peer: float) -> Figure:
    return Figure(figure=name, ours=ours, peer=peer, unit="share")


if __name__ == "__main__":
    main()
