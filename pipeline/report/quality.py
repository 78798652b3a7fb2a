"""How well the model recognises, as rows, bars and cells for the template."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipeline.ui.figures import number, percent

_MOST_SPEAKERS = 24


@dataclasses.dataclass(frozen=True, kw_only=True)
class FigureRow:
    """A figure and what it means, in plain words."""

    name: str
    value: str
    meaning: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bar:
    """A share (0..1) of something with `n` members, to be drawn as a bar."""

    name: str
    share: float
    value: str
    note: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of the confusion matrix: how many, which share of its row, and whether right."""

    count: int
    share: float
    right: bool
    meaning: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Confusion:
    """The confusion matrix; a row is (true label, cells)."""

    labels: list[str]
    rows: list[tuple[str, list[Cell]]]


_FIGURES = (
    (
        "int8_accuracy",
        "Accuracy, int8",
        "What devices get: the full-integer model on the test list.",
    ),
    ("float_accuracy", "Accuracy, float", "The same model before it was made integer."),
    (
        "teacher_accuracy",
        "Accuracy, teacher",
        "The larger network that the small one learned from.",
    ),
    (
        "teacher_agreement",
        "Agreement with the teacher",
        "Share of the test clips on which the int8 model and the teacher decide alike.",
    ),
    (
        "int8_single_accuracy",
        "Accuracy, int8, one look",
        "One centred inference a clip, without averaging over neighbouring positions.",
    ),
    ("float_single_accuracy", "Accuracy, float, one look", "The same for the float model."),
    (
        "val_int8_accuracy",
        "Accuracy, int8, validation list",
        "On the list that choices were made on; the test list was never used for a choice.",
    ),
)


def figure_rows(evaluation: Mapping[str, Any]) -> list[FigureRow]:
    """The figures of evaluation.json with their explanations."""
    rows = [
        FigureRow(name=name, value=percent(evaluation[key]), meaning=meaning)
        for key, name, meaning in _FIGURES
        if evaluation.get(key) is not None
    ]
    paired = evaluation["paired"]
    over = f"{number(paired['clips'])} clips in {number(paired['views'])} versions each"
    rows += [
        FigureRow(
            name="Lost by going to int8",
            value=f"{100 * paired['drop']:.2f} points",
            meaning=f"Float and int8 compared clip by clip over {over}; "
            f"with 95% confidence at most {100 * paired['drop_upper_95']:.2f} points.",
        ),
        FigureRow(
            name="Equal decisions",
            value=percent(paired["agreement"]),
            meaning="How often the float and the int8 model decide alike, right or wrong.",
        ),
    ]
    baselines = evaluation["baselines"]
    rows.append(
        FigureRow(
            name="Always the commonest label",
            value=percent(baselines["majority"]),
            meaning="What a model that never listens would reach: the floor to compare with.",
        )
    )
    if baselines.get("last_release") is not None:
        rows.append(
            FigureRow(
                name="Last release",
                value=percent(baselines["last_release"]),
                meaning="The released model that this one had to stand up to, on the same list.",
            )
        )
    for key, name in (("gate", "gate"), ("early_exit", "early exit")):
        rows += _sparing_rows(evaluation[key], name) if key in evaluation else []
    return rows


def _sparing_rows(sparing: Mapping[str, Any], name: str) -> list[FigureRow]:
    """What a gate or an early exit costs and spares."""
    return [
        FigureRow(
            name=f"Accuracy, int8, without the {name}",
            value=percent(sparing["accuracy_without"]),
            meaning=f"The classifier alone; all other int8 figures are with the {name}.",
        ),
        FigureRow(
            name=f"Spared by the {name}, other sound",
            value=percent(sparing["other_sound"]["saved"]),
            meaning="Of the multiply-accumulates, on other words and noise without a pause: far more to "
            "hear than in any room.",
        ),
        FigureRow(
            name=f"Spared by the {name}, keywords",
            value=percent(sparing["words_and_pauses"]["saved"]),
            meaning="The same on keywords with a pause after each; below 0 where it does not pay.",
        ),
    ]


def label_bars(per_label: Mapping[str, Mapping[str, Any]]) -> list[Bar]:
    """Recall of each label, worst first."""
    return [
        Bar(
            name=label,
            share=entry["recall"] or 0.0,
            value=percent(entry["recall"]),
            note=f"precision {percent(entry['precision'])}, {number(entry['n'])} clips",
        )
        for label, entry in sorted(per_label.items(), key=lambda i: (i[1]["recall"] or 0.0, i[0]))
    ]


def speaker_bars(per_speaker: Mapping[str, Mapping[str, Any]]) -> tuple[list[Bar], str]:
    """Accuracy of each speaker, worst first, and a sentence on those left out (or empty)."""
    ranked = sorted(per_speaker.items(), key=lambda i: (i[1]["accuracy"], -i[1]["n"], i[0]))
    bars = [
        Bar(
            name=speaker,
            share=entry["accuracy"],
            value=percent(entry["accuracy"]),
            note=f"{number(entry['n'])} clips",
        )
        for speaker, entry in ranked[:_MOST_SPEAKERS]
    ]
    rest = ranked[_MOST_SPEAKERS:]
    if not rest:
        return bars, ""
    return bars, (
        f"{number(len(rest))} more speakers are not shown; each of them has at least "
        f"{percent(rest[0][1]['accuracy'])}."
    )


def confusion(matrix: Mapping[str, Any]) -> Confusion:
    """The confusion matrix with the share of each row, rows truth, columns said."""
    labels: list[str] = matrix["labels"]
    rows = []
    for i, counts in enumerate(matrix["counts"]):
        total = max(1, sum(counts))
        cells = [
            Cell(
                count=count,
                share=count / total,
                right=i == j,
                meaning=f"{labels[i]} taken for {labels[j]}: {count} of {sum(counts)}",
            )
            for j, count in enumerate(counts)
        ]
        rows.append((labels[i], cells))
    return Confusion(labels=labels, rows=rows)
