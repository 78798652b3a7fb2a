"""What a person sees of a run, on a terminal and in a log file."""

from __future__ import annotations

import copy
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ui.figures import duration, milliseconds, number, percent, side, size
from pipeline.ui.pace import Pace
from pipeline.ui.run_view import RunView
from pipeline.ui.summary import SummaryExtras

PAYLOADS = Path(__file__).parents[1] / "payloads"
REPORT = json.loads((PAYLOADS / "report.json").read_text(encoding="utf-8"))


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def plain(text: str) -> str:
    """`text` without what steers a terminal."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)


def refused() -> dict[str, Any]:
    report = copy.deepcopy(REPORT)
    report["bundle"] = None
    report["gates"][0] |= {"passed": False, "value": 0.031, "advice": "raise Quantizer.epochs"}
    return report


def test_a_log_gets_a_line_a_start_an_end_and_one_every_30_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    with RunView(stream, clock) as view:
        view.step_started("Trainer", 5, 14)
        for second in range(1, 71):
            clock.now += 1
            view.step_progress("Trainer", second, 140, "epochs", "loss 0.4")
        view.step_finished("Trainer", 70.0, {"val_accuracy": 0.912, "epochs": 70})
    lines = stream.getvalue().splitlines()
    assert lines == [
        "> [ 5/14] Trainer",
        "  [ 5/14] Trainer  30/140 epochs · 1 min 50 s left · loss 0.4",
        "  [ 5/14] Trainer  60/140 epochs · 1 min 20 s left · loss 0.4",
        "✓ [ 5/14] Trainer  1 min 10 s  val accuracy 0.912 · epochs 70",
    ]


def test_a_terminal_gets_a_bar_with_the_time_left_and_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    stream, clock = Terminal(), Clock()
    with RunView(stream, clock) as view:
        view.step_started("Trainer", 1, 2)
        view.step_progress("Trainer", 1, 10, "epochs", "")
        clock.now += 10
        view.step_progress("Trainer", 2, 10, "epochs", "loss [0.4]")
        view.step_finished("Trainer", 20.0, {})
    text = stream.getvalue()
    assert "2/10 epochs · loss [0.4]" in plain(text)
    assert "10 s  1 min 20 s left" in plain(text)
    end = plain(text).index("✓ [1/2] Trainer")
    assert "epochs" not in plain(text)[end:], "the bar outlives its step"
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor stays hidden"


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_failures_and_warnings_are_shown_as_written(stream: io.StringIO) -> None:
    message = "data/[red]yes[/red]/a.wav: holds no samples: record it again or delete it " * 3
    with RunView(stream) as view:
        view.step_started("ExampleGen", 1, 14)
        view.warning(message)
        view.step_failed("ExampleGen", message)
    said = plain(stream.getvalue())
    assert f"! warning: {message.rstrip()}" in said
    assert f"✗ [ 1/14] ExampleGen  {message.rstrip()}" in said


def test_an_exception_gives_the_terminal_back() -> None:
    stream = Terminal()
    view = RunView(stream)

    def interrupted() -> None:
        with view:
            view.step_started("Trainer", 1, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    text = stream.getvalue()
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_everything_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with RunView() as view:
        view.step_started("Trainer", 1, 1)
        view.step_finished("Trainer", 1.0, {})
        view.summary(REPORT)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Released keyword_spotting 3" in captured.err


def left_behind(root: Path, *names: str) -> Path:
    """A root with these files."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_the_summary_of_a_release(tmp_path: Path) -> None:
    stream = io.StringIO()
    root = left_behind(tmp_path, "keyword_spotting/report.html", "repository/x", "root.json")
    extras: SummaryExtras = {"root": str(root)}
    with RunView(stream) as view:
        view.summary(REPORT, extras)
    said = stream.getvalue()
    for piece in (
        "Released keyword_spotting 3",
        "88.6%",
        "90.9%",
        "32,464 B",
        "25,120 B",
        "21,488 B",
        "3.80 M",
        "1.41 ms",
        "121 µs",
        "at most 0.01",
        "at least 0.97",
        str(root / "keyword_spotting" / "report.html"),
        "python -m edge_agent spot --bundle var/latest.bundle FILE.wav",
        f"python -m edge_agent install --repository {root / 'repository'} "
        f"--trusted-root {root / 'root.json'} --root DEVICE_DIR keyword_spotting",
    ):
        assert piece in said, piece
    assert said.count("✓ passed") == len(REPORT["gates"])
    assert "✗" not in said


def test_the_summary_of_a_refusal_names_gate_value_limit_and_advice(tmp_path: Path) -> None:
    stream = io.StringIO()
    candidate = "keyword_spotting/refused.bundle"
    root = left_behind(tmp_path, candidate, "repository/x", "root.json")
    with RunView(stream) as view:
        view.summary(refused(), {"root": str(root)})
    said = stream.getvalue()
    assert "Refused keyword_spotting: 1 of 11 gates not passed" in said
    assert re.search(r"int8 drop +0\.031 +at most 0\.01 +✗ refused", said)
    assert "int8 drop: raise Quantizer.epochs" in said
    assert f"spot --bundle {root / candidate}" in said
    assert "edge_agent install" not in said


def test_the_summary_of_a_run_that_made_no_model() -> None:
    stream = io.StringIO()
    report = {**REPORT, "bundle": None, "gates": [], "metrics": {}, "model": {"name": "m"}}
    report["recipe"] = "m"
    with RunView(stream) as view:
        view.summary(report)
    assert "Refused m: no bundle made" in stream.getvalue()


def test_the_summary_of_series_in_nab_s_form_says_its_scores_beside_the_best_control() -> None:
    stream = io.StringIO()
    scores = {"standard": 73.125, "reward_low_fn": 77.5}
    metrics = {"detector": "gaussian", "roc_auc": 0.61, "nab": scores}
    metrics["nab_control"] = {"standard": 21.5, "reward_low_fn": 31.3}
    with RunView(stream) as view:
        view.summary({**REPORT, "metrics": metrics})
    said = " ".join(plain(stream.getvalue()).split())
    assert "detector taken gaussian" in said
    assert "NAB, standard, and the best control 73.1 21.5" in said
    assert "NAB, reward low fn, and the best control 77.5 31.3" in said


@pytest.mark.parametrize(
    ("watches", "source"), [("rows", "--csv FILE.csv"), ("signal", "--wav FILE.wav")]
)
def test_what_to_try_next_takes_what_the_bundle_was_taught_with(watches: str, source: str) -> None:
    stream = io.StringIO()
    with RunView(stream) as view:
        view.summary({**REPORT, "recipe": "anomaly_detection", "metrics": {"watches": watches}})
    assert source in plain(stream.getvalue())


def test_pace_is_that_of_the_last_minute_and_counts_down() -> None:
    pace = Pace()
    assert pace.seconds_left(0.0) is None
    pace.at(0.0, 0, 100)
    assert pace.seconds_left(5.0) is None
    for second in range(10, 200, 10):
        pace.at(second, second / 10, 100)
    assert pace.seconds_left(190.0) == pytest.approx(810.0)
    assert pace.seconds_left(200.0) == pytest.approx(800.0)
    for second in range(200, 300, 10):
        pace.at(second, 19 + (second - 190) / 5, 100)
    assert pace.seconds_left(290.0) == pytest.approx((100 - 39) * 5)


def test_pace_starts_anew_with_a_new_phase() -> None:
    pace = Pace()
    pace.at(0.0, 0, 10)
    pace.at(1.0, 5, 10)
    pace.at(2.0, 1, 10)
    assert pace.seconds_left(2.0) is None
    pace.at(3.0, 2, 10)
    assert pace.seconds_left(3.0) == pytest.approx(8.0)
    pace.at(4.0, 3, 500)
    assert pace.seconds_left(4.0) is None


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 1e6), st.floats(1, 1e6)), min_size=1, max_size=40
    )
)
def test_pace_never_gives_a_negative_or_endless_time(
    steps: list[tuple[float, float, float]],
) -> None:
    pace, now = Pace(), 0.0
    for passed, done, total in steps:
        now += passed
        pace.at(now, min(done, total), total)
        left = pace.seconds_left(now)
        assert left is None or left >= 0.0


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (number(3_804_160), "3,804,160"),
        (number(0.0042), "0.0042"),
        (number(0.8731), "0.8731"),
        (number(-0.018), "-0.018"),
        (number(58.61234), "58.61"),
        (number(float("nan")), "not measured"),
        (percent(0.8727), "87.3%"),
        (percent(None), "–"),
        (size(32_464), "32,464 B"),
        (size(2_400_000), "2.4 MB"),
        (milliseconds(0.1214), "121 µs"),
        (duration(9.13), "9.1 s"),
        (duration(59.9), "60 s"),
        (duration(3_725), "1 h 02 min"),
        (side(0.02, 0.01, False), "at most"),
        (side(0.8, 0.9, False), "at least"),
        (side(0.95, 0.9, True), "at least"),
        (side(0.005, 0.01, True), "at most"),
    ],
)
def test_figures_read_as_a_person_would_write_them(written: str, expected: str) -> None:
    assert written == expected
