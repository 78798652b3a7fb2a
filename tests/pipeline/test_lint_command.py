"""``python -m pipeline lint``, as scripts and people use it."""

import json
from pathlib import Path

import pytest

from edge_agent.features.audio import AudioFeatures
from pipeline.__main__ import main
from pipeline.command_line import parse
from tests.fixtures.models import tone_model

BOARD = """
extends = "tflm"
name = "board"
title = "a board with 3 kB"
source = "its data sheet"
[budget]
arena_bytes = 3000
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    file = tmp_path / "model.tflite"
    file.write_bytes(tone_model(("_silence_", "_unknown_", "yes"), AudioFeatures(), 49))
    return str(file)


def lint(*words: str) -> int:
    return main(parse(["pipeline", "lint", *words]))


def test_json_says_what_scripts_need(model, capsys):
    assert lint(model, "--target", "tflm", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["target"], said["ok"], said["macs"]) == ("tflm", True, 120)
    assert said["arena_bytes"] > 0
    assert said["ops"][0] == {
        "op": "AVERAGE_POOL_2D",
        "version": 2,
        "count": 1,
        "status": "supported",
    }


def test_a_refusal_ends_with_3_and_says_what_to_change(model, tmp_path, capsys):
    board = tmp_path / "my-board.toml"
    board.write_text(BOARD)
    assert lint(model, "--target", str(board)) == 3
    said = capsys.readouterr().out
    assert "is refused on a board with 3 kB (board)" in said
    assert "AVERAGE_POOL_2D" in said
    assert "✗ arena: " in said
    assert "has 3,000: fewer channels, or pool earlier" in said


@pytest.mark.parametrize(("often", "code"), [(4, 0), (4.5, 3)])
def test_what_a_board_can_compute_in_a_second_is_a_limit(often, code, model, tmp_path, capsys):
    board = tmp_path / "my-board.toml"
    limits = f"macs_per_second = 500\ninferences_per_second = {often}\n"
    board.write_text(BOARD.replace("arena_bytes = 3000\n", limits))
    # The model computes 120 in each inference.
    assert lint(model, "--target", str(board)) == code
    said = "macs_per_second: 540 MACs a second, and a board with 3 kB has 500: fewer channels, or"
    assert (said in capsys.readouterr().out) == bool(code)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone.tflite", "--target", "tflm"], "gone.tflite: cannot be read"),
        (["{model}", "--target", "tfml"], "no target 'tfml' (did you mean tflm?)"),
        (["{model}", "--target", "gone.toml"], "gone.toml: cannot be read"),
        (["{model}", "--target", "edgetpu", "--edgetpu-log", "gone.log"], "gone.log: No such file"),
    ],
)
def test_what_cannot_be_read_ends_with_1_and_is_named(model, capsys, words, said):
    assert lint(*(word.format(model=model) for word in words)) == 1
    done = capsys.readouterr()
    assert done.out == ""
    assert said in done.err


def test_the_target_must_be_given_and_the_help_lists_them(model, capsys):
    for words in ([model], ["--help"]):
        with pytest.raises(SystemExit):
            lint(*words)
    done = capsys.readouterr()
    assert "--target" in done.err
    assert "ethos-u65-512" in done.out
