"""The model card that travels in a bundle: what the model is for, how good it is, where it fails.

The sections follow Mitchell et al., "Model Cards for Model Reporting" (2019). The card is part of
the bundle, so it holds only what follows from data, code and seed: no date, path or measured time.
It names no speaker: it leaves the house with the bundle, and a speaker's id may be a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.packager.card_parts import percent, runtimes, sizes, table, text

if TYPE_CHECKING:
    from components.converter.streaming import StreamingForm

Json = Mapping[str, Any]

FILE_NAME = "model_card.md"
_WORST_LABELS = 3
_SPLITS = ("train", "val", "test", "noise")
_SPECIAL = {"_unknown_", "_silence_"}


def model_card(
    *,
    name: str,
    licence: str,
    evaluation: Json,
    infra_validation: Json,
    conversion: Json,
    features: Json,
    examples: Json,
    model: Json,
    form: StreamingForm | None = None,
    training: Sequence[str] = (),
) -> str:
    """The model card as Markdown; equal arguments give equal text.

    Args:
        name: the model family, as in the manifest.
        licence: as in the manifest.
        evaluation: evaluation.json.
        infra_validation: infra_validation.json; its latencies are not used.
        conversion: conversion.json of the model as the device runs it.
        features: features.json.
        examples: examples.json.
        model: model.json of the network that was converted.
        form: in which the device runs the model; None if it computes each window anew.
        training: sentences on how it was trained, beyond what the other arguments tell.
    """
    parts = [
        f"# Model card: {text(name)}",
        _intended_use(features),
        _data(examples),
        _training(features, examples, model, training),
        _metrics(evaluation),
        _false_accepts(evaluation),
        _limits(evaluation),
        f"{sizes(conversion, infra_validation)} {_run_by(form)}",
        *([_gate(evaluation["gate"])] if "gate" in evaluation else []),
        *([_early_exit(evaluation["early_exit"])] if "early_exit" in evaluation else []),
        runtimes(infra_validation),
        f"## Licence\n\n{text(licence)}",
    ]
    return "\n\n".join(parts) + "\n"


def _intended_use(features: Json) -> str:
    keywords = [label for label in features["labels"] if label not in _SPECIAL]
    return (
        "## Intended use\n\n"
        f"Spots these words in a continuous stream of sound on a small device: "
        f"{', '.join(text(k) for k in keywords)}. Everything else is heard as `_unknown_` or "
        "`_silence_`.\n\n"
        "It is made for commands whose false recognition can be undone. It is not made for "
        "anything on which safety depends, for telling who speaks, or for transcribing speech."
    )


def _data(examples: Json) -> str:
    splits = [split for split in _SPLITS if split in examples["splits"]]
    found = [examples["splits"][split] for split in splits]
    rows = [
        [text(label), *(str(split["labels"].get(label, 0)) for split in found)]
        for label in examples["labels"]
    ]
    rows.append(["**all clips**", *(str(split["clips"]) for split in found)])
    rows.append(["**speakers**", *(str(split["speakers"]) for split in found)])
    how = {
        "lists": "The lists of the data set say which clip is in which split.",
        "speaker hash": "Splits are by a hash of the speaker: nobody is in two of them.",
    }
    said = how.get(examples["split_by"], f"Split by {text(examples['split_by'])}.")
    clip_seconds = examples["clip_samples"] / examples["sample_rate"]
    return (
        f"## Data\n\n{said} A clip is {clip_seconds:.2f} s at {examples['sample_rate']} Hz.\n\n"
        + table(["label", *splits], rows)
    )


def _made_light(model: Json) -> str:
    """What the Pruner removed, so that the widths no longer hold, and which values the weights take."""
    removed = {"filter": "channels", "heads": "attention heads"}.get(model.get("pruning", ""))
    pruned = f" after {removed} were removed" if removed else ""
    return pruned + (f"; {text(model['weights'])} weights" if "weights" in model else "")


def _training(features: Json, examples: Json, model: Json, training: Sequence[str]) -> str:
    front_end = features["features"]
    arguments = ", ".join(f"{text(k)} {text(v)}" for k, v in sorted(model["arguments"].items()))
    views = features["splits"]["train"]["views"]
    lines = [
        f"- Features: `{front_end['front_end']}`, {front_end['channels']} mel channels, windows of "
        f"{front_end['window_ms']} ms every {front_end['stride_ms']} ms, "
        f"{features['frames']} frames an inference; the same code in training and on the device.",
        f"- Network: {text(model['architecture'])}"
        + (f" ({arguments})" if arguments else "")
        + f", {model['params']} parameters{_made_light(model)}.",
        f"- Trained on {examples['splits']['train']['clips']} clips in {views} versions each. "
        "Choices were made on the validation list; the test list was used once, for the figures "
        "here.",
        *(f"- {sentence}" for sentence in training),
    ]
    return "## Training\n\n" + "\n".join(lines)


def _metrics(evaluation: Json) -> str:
    rows = [
        [title, percent(evaluation[key])]
        for key, title in (
            ("int8_accuracy", "accuracy of this model (int8), test list"),
            ("float_accuracy", "the same before it was made integer"),
            ("teacher_accuracy", "the network it learned from"),
            ("val_int8_accuracy", "accuracy of this model, validation list"),
        )
        if evaluation.get(key) is not None
    ]
    rows.append(["always saying the commonest label", percent(evaluation["baselines"]["majority"])])
    paired = evaluation["paired"]
    labels = [
        [text(label), percent(e["recall"]), percent(e["precision"]), str(e["n"])]
        for label, e in sorted(evaluation["per_label"].items())
    ]
    return (
        f"## Metrics\n\nOn {evaluation['n']} test clips.\n\n"
        + table(["figure", "value"], rows)
        + f"\n\nOver {paired['clips']} clips in {paired['views']} versions each, the integer model "
        f"lost {100 * paired['drop']:.2f} points against its float version (at most "
        f"{100 * paired['drop_upper_95']:.2f} with 95% confidence) and decided alike in "
        f"{percent(paired['agreement'])} of all cases.\n\n"
        + table(["label", "recall", "precision", "clips"], labels)
    )


def _false_accepts(evaluation: Json) -> str:
    accepts, policy = evaluation["false_accepts"], evaluation["policy"]
    thresholds = policy["thresholds"]
    fires = ", ".join(f"{text(k)} {v:.2f}" for k, v in sorted(thresholds.items()))
    minutes = 60 * accepts["hours"]
    return (
        "## False accepts\n\n"
        f"{accepts['per_hour']:.1f} an hour: {accepts['count']} in {minutes:.1f} minutes of other "
        "words and noise laid end to end without a pause, which gives far more occasions an hour "
        f"than any room; the policy was chosen for {accepts['target_per_hour']:g} an hour on other "
        "recordings. Measured as the device works: one inference every "
        f"{policy['hop_frames']} frames, probabilities averaged over {policy['smoothing']}, and no "
        f"second detection of a word within {policy['refractory_ms']} ms. At the same thresholds "
        f"{percent(accepts['false_rejects'])} of the spoken words were missed.\n\n"
        f"Thresholds: {fires or 'none'}." + _room(policy.get("room"))
    )


def _room(bounds: Json | None) -> str:
    if bounds is None:
        return ""
    lowest, highest = bounds["lowest"], bounds["highest"]
    moves = ", ".join(f"{text(k)} {lowest[k]:.2f} to {highest[k]:.2f}" for k in sorted(lowest))
    return (
        " On a device they follow the room: within "
        f"{moves}, which accept {bounds['lowest_accepts']:g} and {bounds['highest_accepts']:g} times as much."
    )


def _run_by(form: StreamingForm | None) -> str:
    if form is None:
        return "Each inference takes a whole window."
    return (
        f"Each inference takes {form.frames} new frames, and what it must remember of the {form.window} "
        f"that decide goes in and out as {len(form.state)} state tensors."
    )


def _limits(evaluation: Json) -> str:
    worst = sorted(
        ((e["recall"] or 0.0, label) for label, e in evaluation["per_label"].items() if e["n"])
    )[:_WORST_LABELS]
    named = ", ".join(f"{text(label)} ({percent(recall)})" for recall, label in worst)
    lines = [f"- Weakest labels by recall: {named}."]
    speakers = sorted((e["accuracy"], e["n"]) for e in evaluation["per_speaker"].values())
    if speakers:
        (low, clips), middle = speakers[0], speakers[len(speakers) // 2][0]
        lines.append(
            f"- Speakers differ: of {len(speakers)} in the test list the worst reached "
            f"{percent(low)} (on {clips} clips), the middle one {percent(middle)}, the best "
            f"{percent(speakers[-1][0])}."
        )
    hours = evaluation["false_accepts"]["hours"]
    if hours < 10:
        # Rule of three: with no event in h hours, the rate is below 3 / h at 95% confidence.
        lines.append(
            f"- {60 * hours:.1f} minutes without keywords are little: {_not_ruled_out(hours)}."
        )
    lines += [
        "- Accents, ages, rooms and microphones that the data lacks may be recognised worse; "
        "measure on recordings of the place of use before relying on the figures above.",
        "- Words that sound alike set it off. A microphone that listens all the time touches the "
        "privacy of everybody in the room: keep the sound on the device, and say that it listens.",
    ]
    return "## Limits and risks\n\n" + "\n".join(lines)


def _not_ruled_out(hours: float) -> str:
    if hours <= 0:
        return "false accepts were not measured at all"
    return (
        f"even with no false accept in them, {3 / hours:.1f} an hour could not be ruled out (95%)"
    )


def _gate(gate: Json) -> str:
    rows = [[text(label), percent(share)] for label, share in gate["opened"].items()]
    return (
        "## The gate\n\nA small model runs at every hop, and the classifier only where it opens. All "
        f"figures above are those of the two together; the classifier alone reaches "
        f"{percent(gate['accuracy_without'])} on the test list. On test streams the gate saves "
        f"{_spared(gate)}.\n\n" + table(["label", "windows that open it"], rows)
    )


def _early_exit(early_exit: Json) -> str:
    rows = [[text(label), percent(share)] for label, share in early_exit["left"].items()]
    return (
        "## The early exit\n\nThe network has an exit in its middle, and the rest of it runs only for "
        f"windows whose top probability there is below {early_exit['leaves_at']:.2f}. All figures above "
        f"are with it; without it the network reaches {percent(early_exit['accuracy_without'])} on the "
        f"test list. On test streams the exit saves {_spared(early_exit)}.\n\n"
        + table(["label", "windows that leave early"], rows)
    )


def _spared(sparing: Json) -> str:
    return " and ".join(
        f"{percent(sparing[stream]['saved'])} of the multiply-accumulates on {what}"
        for stream, what in (
            ("other_sound", "other words and noise without a pause"),
            ("words_and_pauses", "keywords with a pause after each"),
        )
    )
