"""``--settings FILE``: what it changes, what wins, what is refused; and the files that come along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.command_line import parse
from pipeline.commands.recipe_arguments import make_recipe
from pipeline.settings.reading import shipped

QUICK = """
[Trainer]
widths = [13, 22]
architecture = "streaming_resnet"
epochs = 3

[Pruner]
method = "filter"
macs_share = 0.25
"""


def parameters(data: Path, *words: str) -> dict[str, Any]:
    arguments = parse(["pipeline", "parameters", "keyword_spotting", "--data", str(data), *words])
    recipe = make_recipe(arguments, data, data)
    return {component.id: component.parameters for component in recipe.components}


def refused(capsys: pytest.CaptureFixture[str], file: Path) -> str:
    with pytest.raises(SystemExit) as ended:
        parse(["pipeline", "run", "keyword_spotting", "--settings", str(file)])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert f"argument --settings: {file}: " in told
    return told


def test_a_file_sets_what_set_sets_and_the_later_of_two_wins(tmp_path):
    file = tmp_path / "quick.toml"
    file.write_text(QUICK)
    by_hand = (
        "Trainer.widths=13,22",
        "Trainer.epochs=3",
        "Pruner.method=filter",
        "Pruner.macs_share=0.25",
    )
    sets = [word for setting in by_hand for word in ("--set", setting)]
    assert parameters(tmp_path, "--settings", str(file)) == parameters(tmp_path, *sets)
    more = ("--set", "Trainer.epochs=5")
    assert parameters(tmp_path, "--settings", str(file), *more)["Trainer"].epochs == 5
    assert parameters(tmp_path, *more, "--settings", str(file))["Trainer"].epochs == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[Trainer\n", "Expected ']'"),
        (b"\xff\xfe", "no TOML"),
        (b"epochs = 3\n", "epochs stands in no step: write [Trainer]"),
        (b"[Trainer]\nepochs = 1979-05-27\n", "Trainer.epochs: 1979-05-27 is no value"),
        (b"a = " + b"[" * 50_000, "no TOML"),
        (b"#" * 1_000_001, "more than 1,000,000 bytes"),
    ],
)
def test_what_are_no_settings_is_refused_by_the_name_of_the_file(capsys, tmp_path, content, said):
    file = tmp_path / "odd.toml"
    file.write_bytes(content)
    assert said in refused(capsys, file)


def test_a_file_that_is_not_there_or_a_folder_is_named(capsys, tmp_path):
    told = refused(capsys, tmp_path / "missing.toml")
    assert "no such file; by their names alone come keyword_20_kilobytes," in told
    assert "Is a directory" in refused(capsys, tmp_path)


@pytest.mark.parametrize("name", shipped())
def test_the_files_that_come_along_fit_their_recipe(tmp_path, name):
    changed = parameters(tmp_path, "--settings", name)
    assert changed["TeacherTrainer"].members == 3
    assert changed["Trainer"] != parameters(tmp_path)["Trainer"]
