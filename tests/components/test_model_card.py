"""The model card: complete, deterministic, and without anything that must not leave the house."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from components.packager.model_card import model_card

PAYLOADS = Path(__file__).parents[1] / "payloads"
PARTS = ("evaluation", "infra_validation", "conversion", "features", "examples", "model")


@pytest.fixture
def arguments() -> dict[str, Any]:
    loaded = {p: json.loads((PAYLOADS / f"{p}.json").read_text(encoding="utf-8")) for p in PARTS}
    return {"name": "keyword_spotting", "licence": "CC-BY-4.0", **loaded}


def test_it_tells_what_a_reader_needs(arguments: dict[str, Any]) -> None:
    card = model_card(**arguments, training=["Distilled at temperature 4."])
    assert re.findall(r"^## (.+)$", card, re.MULTILINE) == [
        "Intended use",
        "Data",
        "Training",
        "Metrics",
        "False accepts",
        "Limits and risks",
        "Size and work",
        "Runtimes and targets",
        "Licence",
    ]
    evaluation = arguments["evaluation"]
    for piece in (
        "down, go, left, no, off, on, right, stop, up, yes",
        "| **all clips** | 1216 | 260 | 264 | 2 |",
        "| **speakers** | 72 | 16 | 16 | 0 |",
        "`log_mel`, 40 mel channels, windows of 30 ms every 20 ms, 49 frames",
        "res8 (blocks 3, channels 20), 26772 parameters",
        "- Distilled at temperature 4.",
        f"| accuracy of this model (int8), test list | {100 * evaluation['int8_accuracy']:.1f}% |",
        "lost 0.14 points against its float version (at most 0.42 with 95% confidence)",
        "58.6 an hour: 3 in 3.1 minutes",
        "Weakest labels by recall: \\_unknown\\_",
        "| model file | 32464 bytes |",
        "| arena (TFLM, reference kernels) | 21488 bytes |",
        "CONV_2D v3 (13)",
        "- edgetpu: fits; FULLY_CONNECTED v4 runs on the CPU",
        "CC-BY-4.0",
    ):
        assert piece in card, piece


def test_it_holds_no_measured_time_path_or_speaker(arguments: dict[str, Any]) -> None:
    card = model_card(**arguments)
    slower = copy.deepcopy(arguments)
    for runtime in slower["infra_validation"]["runtimes"].values():
        runtime["latency_ms"] *= 3
    assert model_card(**slower) == card
    assert ".wav" not in card
    assert not any(speaker in card for speaker in arguments["evaluation"]["per_speaker"])


def test_the_order_of_keys_does_not_matter(arguments: dict[str, Any]) -> None:
    shuffled = {
        k: dict(reversed(v.items())) if isinstance(v, dict) else v for k, v in arguments.items()
    }
    evaluation = shuffled["evaluation"]
    evaluation["per_label"] = dict(reversed(evaluation["per_label"].items()))
    evaluation["per_speaker"] = dict(reversed(evaluation["per_speaker"].items()))
    assert model_card(**shuffled) == model_card(**arguments)


def test_a_label_cannot_break_the_tables(arguments: dict[str, Any]) -> None:
    hostile = "a|b\n# <script>`x`"
    arguments["evaluation"]["per_label"][hostile] = {"recall": None, "precision": None, "n": 0}
    arguments["examples"]["labels"].append(hostile)
    card = model_card(**arguments)
    assert "\n# <" not in card
    assert re.search(r"(?<!\\)<script", card) is None
    rows = [line for line in card.splitlines() if "script" in line]
    assert len(rows) == 2
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [6, 5]


def test_figures_that_are_not_there_are_left_out(arguments: dict[str, Any]) -> None:
    arguments["evaluation"]["teacher_accuracy"] = None
    arguments["evaluation"]["per_speaker"] = {}
    arguments["evaluation"]["false_accepts"]["hours"] = 0.0
    card = model_card(**arguments)
    assert "the network it learned from" not in card
    assert "Speakers differ" not in card
    assert "not measured at all" in card


def test_a_runtime_that_did_not_run_is_named(arguments: dict[str, Any]) -> None:
    infra = arguments["infra_validation"]
    infra["runtimes"]["tflm"] = dict.fromkeys(infra["runtimes"]["tflm"])
    infra["arena_bytes"] = None
    card = model_card(**arguments)
    assert "| tflm | did not run |" in card
    assert "| arena (TFLM, reference kernels) | not measured |" in card


@pytest.mark.parametrize(
    ("made_light", "said"),
    [
        ({}, "26772 parameters."),
        ({"pruning": "magnitude"}, "26772 parameters."),
        ({"pruning": "filter"}, "26772 parameters after channels were removed."),
        ({"pruning": "heads"}, "26772 parameters after attention heads were removed."),
        ({"weights": "ternary"}, "26772 parameters; ternary weights."),
    ],
)
def test_what_was_removed_is_said_where_the_widths_no_longer_hold(arguments, made_light, said):
    arguments["model"] |= made_light
    assert said in model_card(**arguments)
