"""The model card of a bundle for pictures; see `components.packager.model_card` for its rules."""

from __future__ import annotations

from components.packager.card_parts import Json, percent, runtimes, sizes, table, text

_SPLITS = ("train", "val", "test")
_WORST_LABELS = 3


def picture_card(
    *,
    name: str,
    licence: str,
    evaluation: Json,
    infra_validation: Json,
    conversion: Json,
    features: Json,
    examples: Json,
    model: Json,
) -> str:
    """The model card as Markdown; equal arguments give equal text, and no group is named.

    Args:
        name: the model family, as in the manifest.
        licence: as in the manifest.
        evaluation: evaluation.json.
        infra_validation: infra_validation.json; its latencies are not used.
        conversion: conversion.json.
        features: features.json.
        examples: examples.json.
        model: model.json of the network that was converted.
    """
    parts = [
        f"# Model card: {text(name)}",
        _intended_use(features),
        _data(examples),
        _training(features, examples, model),
        _metrics(evaluation),
        _limits(evaluation, examples),
        sizes(conversion, infra_validation),
        runtimes(infra_validation),
        f"## Licence\n\n{text(licence)}",
    ]
    return "\n\n".join(parts) + "\n"


def _intended_use(features: Json) -> str:
    labels = ", ".join(text(label) for label in features["labels"])
    return (
        f"## Intended use\n\nSays which of these labels one picture shows: {labels}. It gives one of "
        "them to every picture, also to one that shows none of them.\n\nIt is not made for anything on "
        "which safety depends, nor for telling who somebody is."
    )


def _data(examples: Json) -> str:
    found = [examples["splits"][split] for split in _SPLITS]
    rows = [
        [text(label), *(str(split["labels"].get(label, 0)) for split in found)]
        for label in examples["labels"]
    ]
    rows.append(["**all pictures**", *(str(split["clips"]) for split in found)])
    how = {
        "lists": "The lists of the data set say which picture is in which split.",
        "picture hash": "Splits are by a hash of the picture's name, or of its group where it names one.",
    }
    said = how.get(examples["split_by"], f"Split by {text(examples['split_by'])}.")
    return f"## Data\n\n{said}\n\n{table(['label', *_SPLITS], rows)}"


def _training(features: Json, examples: Json, model: Json) -> str:
    form = features["features"]
    arguments = ", ".join(f"{text(k)} {text(v)}" for k, v in sorted(model["arguments"].items()))
    views = features["splits"]["train"]["views"]
    return (
        "## Training\n\n"
        f"- Input: {form['height']} x {form['width']} pixels, {form['colour']}, {form['fit']}; the same "
        "code in training and on the device, exact to the bit.\n"
        f"- Network: {text(model['architecture'])} ({arguments}), {model['params']} parameters.\n"
        f"- Trained on {examples['splits']['train']['clips']} pictures, each with {views} views. Choices "
        "were made on the validation list; the test list was used once, for the figures here."
    )


def _metrics(evaluation: Json) -> str:
    baselines, paired = evaluation["baselines"], evaluation["paired"]
    rows = [
        ["accuracy of this model (int8), test list", percent(evaluation["int8_accuracy"])],
        ["the same before it was made integer", percent(evaluation["float_accuracy"])],
        ["the network it learned from", percent(evaluation["teacher_accuracy"])],
        ["accuracy of this model, validation list", percent(evaluation["val_int8_accuracy"])],
        ["always saying the commonest label", percent(baselines["majority"])],
        ["the label whose mean picture is nearest", percent(baselines["nearest_mean"])],
    ]
    labels = [
        [text(label), percent(e["recall"]), percent(e["precision"]), str(e["n"])]
        for label, e in sorted(evaluation["per_label"].items())
    ]
    return (
        f"## Metrics\n\nOn {evaluation['n']} test pictures.\n\n{table(['figure', 'value'], rows)}\n\n"
        f"Over {paired['clips']} pictures in {paired['views']} versions each, the integer model lost "
        f"{100 * paired['drop']:.2f} points against its float version (at most "
        f"{100 * paired['drop_upper_95']:.2f} with 95% confidence) and decided alike in "
        f"{percent(paired['agreement'])} of all cases.\n\n"
        + table(["label", "recall", "precision", "pictures"], labels)
    )


def _limits(evaluation: Json, examples: Json) -> str:
    worst = sorted(
        ((e["recall"] or 0.0, label) for label, e in evaluation["per_label"].items() if e["n"])
    )[:_WORST_LABELS]
    named = ", ".join(f"{text(label)} ({percent(recall)})" for recall, label in worst)
    lines = [f"- Weakest labels by recall: {named}."]
    if examples["split_by"] == "picture hash" and not evaluation["per_speaker"]:
        lines.append(
            "- No file says what its picture must not be torn from (one person, thing or place), so the "
            "same one may be in training and in the test: on others it may do worse."
        )
    lines.append(
        "- Light, backgrounds, cameras and angles that the data lacks may be recognised worse; measure on "
        "pictures of the place of use before relying on the figures above."
    )
    return "## Limits and risks\n\n" + "\n".join(lines)
