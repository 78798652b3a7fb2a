"""The last release on today's test clips: the one to beat."""

from __future__ import annotations

from pathlib import Path

from components.records import read_examples, shard_paths
from edge_agent.bundle import archive
from edge_agent.bundle.manifest import UNKNOWN
from edge_agent.keyword.classifier import KeywordClassifier


def accuracy_of_release(bundle_folder: Path, examples: Path) -> float:
    """Share of test clips that the bundle in `bundle_folder` decides right.

    Labels that it does not have count as `_unknown_`, as on the device.
    """
    bundle = archive.read(bundle_folder / "candidate.bundle")
    classifier = KeywordClassifier(bundle.manifest, bundle.files, runtime="litert")
    labels = classifier.labels
    right = total = 0
    for path in shard_paths(examples, "test"):
        for example in read_examples(path):
            truth = example.label if example.label in labels else UNKNOWN
            said = labels[int(classifier.classify(example.pcm).argmax())]
            right += said == truth
            total += 1
    return right / total
