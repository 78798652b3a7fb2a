"""The pipeline's command line, as a person uses it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.command_line import parse
from tests.fixtures.speech import make_recordings

ROOT = Path(__file__).resolve().parents[2]


def pipeline(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(p for p in (str(ROOT), *sys.path) if p)
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": path},
    )


def refused(folder: Path, *arguments: object, code: int) -> str:
    """What a command that must fail says: plain words, and nothing on standard output."""
    done = pipeline(folder, *arguments)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    _, error, text = f"\n{done.stderr}".rpartition("error: ")
    assert error
    return text


def here(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[int, str]:
    """Exit code and standard error of a command in this process."""
    try:
        code = main(parse(["pipeline", *command]))
    except SystemExit as e:
        code = e.code
    done = capsys.readouterr()
    assert done.out == ""
    return code, done.err


def test_the_exit_code_reaches_the_shell(tmp_path):
    assert "required: COMMAND" in refused(tmp_path, code=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["fly"], "invalid choice: 'fly' (choose from"),
        (["run"], "required: RECIPE"),
        (["run", "keyword_spoting"], "invalid choice: 'keyword_spoting' (choose from '"),
        (["run", "keyword_spotting", "more"], "unrecognized arguments: more"),
        (["run", "keyword_spotting", "--seed", "x"], "invalid int value: 'x'"),
        (["parameters", "keyword_spotting", "--", "--runner=X"], "runs no Beam pipeline"),
    ],
)
def test_a_wrong_command_line_ends_with_2(capsys, command, said):
    code, text = here(capsys, *command)
    assert code == 2
    assert said in text


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["--data", ".", "--keywords", "yes no"], "give --data or --keywords, not both"),
        (["--data", "missing"], "missing: no such folder"),
        (["--set", "Trainr.epochs=3"], "no component Trainr; did you mean Trainer?"),
        (["--set", "Trainer.epochs=0"], "--set Trainer.epochs=0: epochs and batch must be 1"),
    ],
)
def test_a_wrong_value_ends_with_1_and_says_what_is_right(capsys, tmp_path, values, said):
    code, text = here(capsys, "run", "keyword_spotting", "--root", str(tmp_path), *values)
    assert code == 1
    assert text.startswith("error: ")
    assert said in text
    assert not (tmp_path / "keyword_spotting").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("anomaly_detection --data . --format xml", "take one of csv, nab, wav, mat"),
        ("anomaly_detection --format mat", "the simulated pumps are tables: give --data"),
        (
            "anomaly_detection --data . --set AnomalyTrainer.detector=x",
            "detector must be one of best, pca",
        ),
        ("keyword_spotting --data . --format csv", "knows one kind of data: leave it out"),
    ],
)
def test_formats_and_detectors_that_there_are_not_are_refused_at_once(capsys, words, said):
    code, text = here(capsys, "parameters", *words.split())
    assert code == 1
    assert text.startswith("error: --")
    assert said in text


def test_the_root_may_not_be_a_file(capsys, tmp_path):
    root = tmp_path / "var"
    root.write_text("a file")
    code, text = here(capsys, "run", "keyword_spotting", "--root", str(root))
    assert code == 1
    assert text == f"error: {root}: File exists\n"
    assert root.read_text() == "a file"


def nothing(folder: Path) -> None:
    folder.mkdir()


def one_label_and_a_text_called_wav(folder: Path) -> None:
    make_recordings(folder, ["yes"], clips=12)
    (folder / "yes" / "cafebabe_nohash_0.wav").write_text("this is no sound")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (nothing, ["data: "]),
        (
            one_label_and_a_text_called_wav,
            ["holds words in one folder only (yes)", "cafebabe_nohash_0.wav"],
        ),
    ],
)
def test_bad_recordings_are_named_and_nothing_half_made_is_left(tmp_path, make, said):
    make(tmp_path / "data")
    before = sorted(tmp_path.joinpath("data").rglob("*"))
    text = refused(tmp_path, "run", "keyword_spotting", "--data", "data", "--root", "r", code=1)
    assert all(words in text for words in said)
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == [
        ".lock",
        ".memory",
        "keyword_spotting",
        "lineage.db",
    ]
    left = [path for path in (tmp_path / "r" / "keyword_spotting").rglob("*") if path.is_file()]
    assert {path.suffix for path in left} <= {".log"}
    assert sorted(tmp_path.joinpath("data").rglob("*")) == before


def test_parameters_lists_what_can_be_set_in_the_form_that_sets_it(tmp_path, capsys):
    done = pipeline(tmp_path, "parameters", "keyword_spotting")
    assert (done.returncode, done.stderr) == (0, "")
    settings = [line.strip() for line in done.stdout.splitlines() if line.startswith("    ")]
    assert "Trainer.widths=16,32" in settings
    assert "Converter.seed=0" in settings
    assert list(tmp_path.iterdir()) == []
    again = [word for setting in settings for word in ("--set", setting)]
    assert main(parse(["pipeline", "parameters", "keyword_spotting", *again])) == 0
    assert capsys.readouterr().out == done.stdout
