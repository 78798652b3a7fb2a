"""What a study shows: its table, its choice, its page, and how it goes meanwhile."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path

import pytest

from components.base import UserError
from pipeline.command_line import parse
from pipeline.study.choice import choose, rows, sensitivities
from pipeline.study.drawing import draw
from pipeline.study.ledger import Ledger, Record, Refusal
from pipeline.study.page import write_study
from pipeline.ui.study_view import StudyView
from tests.fixtures.study_world import FEW, TECHNIQUES, World, named, study


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    ledger = Ledger(tmp_path_factory.mktemp("study") / "ledger.json", "a")
    result = study(World(), ledger, 60).all_rungs()
    return result, ledger, rows(FEW, result)


def test_the_table_has_the_final_rung_first_with_its_front_and_spread(finished):
    result, _, table = finished
    final = [row for row in table if row.rung == "final"]
    assert table[: len(final)] == final
    assert len(final) == len(result.final)
    assert any(row.on_front for row in final)
    assert all(row.seeds >= 3 and row.test_range[0] < row.test_range[1] for row in final)
    assert all("arena_bytes" in row.figures for row in final)
    assert not any(row.on_front or "arena_bytes" in row.figures for row in table[len(final) :])


def test_the_choice_is_the_most_accurate_that_keeps_the_limits_and_says_why(finished):
    _, _, table = finished
    free = choose(FEW, table, {})
    final = [row for row in table if row.rung == "final"]
    by_accuracy = sorted(final, key=lambda row: -row.val_accuracy)
    assert [c.key for c in free.ranked] == [row.key for row in by_accuracy]
    small = min(row.figures["bytes"] for row in final)
    tight = choose(FEW, table, {"bytes": small})
    assert tight.ranked[0].key == min(final, key=lambda row: row.figures["bytes"]).key
    assert f"keep to bytes at most {small:,.0f}" in tight.reason
    none = choose(FEW, table, {"bytes": small - 1})
    assert none.ranked == ()
    assert "none of the" in none.reason
    assert "nearest is" in none.reason
    unknown = {name: value for name, value in table[0].figures.items() if name != "arena_bytes"}
    row = dataclasses.replace(table[0], figures=unknown)
    dark = choose(FEW, [row], {"arena_bytes": 1e6})
    assert dark.reason.endswith(f"nearest is {row.name} (arena_bytes unknown)")


def test_whom_a_gate_would_hardly_let_through_comes_last(finished):
    _, _, table = finished
    first, second = [row for row in table if row.rung == "final"][:2]
    unlike = dataclasses.replace(first, figures={**first.figures, "agreement": 0.8})
    failing = dataclasses.replace(first, refused=("targets",))
    for doubtful in (unlike, failing):
        choice = choose(FEW, [doubtful, second], {})
        assert [c.key for c in choice.ranked] == [second.key, first.key]
        assert f"hardly let {first.name} through" in choice.reason


def test_each_turned_knob_shows_its_values_with_the_default_first(finished):
    _, ledger, _ = finished
    found = sensitivities(FEW, TECHNIQUES.defaults, ledger.records)
    width = next(s for s in found if (s.technique, s.knob) == ("streaming_resnet", "width"))
    assert [p[0] for p in width.points][:2] == ["16,32", "8,16"]
    assert width.points[1][2] < width.points[0][2]


def test_the_page_the_picture_and_the_figures_are_written(finished, tmp_path: Path):
    result, ledger, table = finished
    choice = choose(FEW, table, {"bytes": 20_000})
    refusal = Refusal(gate="int8_agreement", value=0.96, limit=0.97, advice="round for longer")
    record = next(r for r in ledger.records if r.rung == "measured")
    refused = dataclasses.replace(record, rung="release", refusals=(refusal,))
    released = dataclasses.replace(record, rung="release", rounding=4)
    write_study(
        tmp_path,
        candidates=FEW,
        result=result,
        table=table,
        sensitivities=sensitivities(FEW, TECHNIQUES.defaults, ledger.records),
        choice=choice,
        attempts=(refused, released),
        seconds=3500.0,
        budget_s=3600.0,
        limits={"bytes": 20_000},
    )
    content = json.loads((tmp_path / "study.json").read_text())
    assert content["choice"]["ranked"] == [c.name for c in choice.ranked]
    assert [a["released"] for a in content["release"]] == [False, True]
    assert len(content["rows"]) == len(table)
    page = (tmp_path / "study.html").read_text()
    assert page.count("<svg") == 1
    name = next(c.name for c in FEW if c.key == released.candidate)
    assert f"<strong>Released: {name}.</strong>" in page
    assert choice.ranked[0].name in page
    assert "refused by int8_agreement: 0.96, limit 0.97 (round for longer)" in page
    assert "training with rounding 4 times as long" in page
    assert (tmp_path / "study.svg").read_text().startswith("<?xml")


def test_numbers_of_an_axis_on_which_all_are_alike_do_not_run_into_each_other(finished):
    _, _, table = finished
    final = [row for row in table if row.rung == "final"]
    alike = [
        dataclasses.replace(row, figures={**row.figures, "latency_ms_litert": 0.01307 + 5e-5 * n})
        for n, row in enumerate(final)
    ]
    picture = draw(alike, "").decode()
    numbers = re.findall(r">(1[234](?:\.\d+)?)</text>", picture)
    assert 2 <= len(numbers) <= 6
    assert max(map(len, numbers)) <= 4


def test_a_page_without_a_final_candidate_or_a_release_is_whole(finished, tmp_path: Path):
    result, _, table = finished
    early = [row for row in table if row.rung == "0"][:1]
    write_study(
        tmp_path,
        candidates=FEW,
        result=dataclasses.replace(result, final=()),
        table=early,
        sensitivities=[],
        choice=choose(FEW, early, {}),
        attempts=(),
        seconds=60.0,
        budget_s=60.0,
        limits={},
    )
    page = (tmp_path / "study.html").read_text()
    assert "<strong>Nothing is released.</strong>" in page
    assert "no candidate came through the final rung" in page
    assert "What each knob does" not in page
    assert early[0].name in page


def test_a_person_sees_what_is_left_also_while_a_step_is_long():
    now = [0.0]
    said = io.StringIO()
    view = StudyView(said, lambda: now[0])
    refusal = Refusal(gate="int8_agreement", value=0.96, limit=0.97, advice="")
    record = Record(
        candidate="a", rung="release", seed=1, examples=1, seconds=60.0, step_seconds={},
        metrics={"val_accuracy": 0.8, "bytes": 30_000.0}, refusals=(refusal,),
    )  # fmt: skip
    view.ran(named("ds_cnn"), record, 600.0)
    now[0] = 100.0
    view.step_progress("Trainer", 63, 100, "steps", "")
    first, second = said.getvalue().splitlines()
    assert "refused by int8_agreement" in first
    assert "10 min 00 s left" in first
    assert second == "   ... Trainer 63% (8 min 20 s left)"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compression_study", "--seed", "3"], "--seed: compression_study takes several"),
        (["compression_study", "--budget-minutes", "0"], "--budget-minutes must be 1 to"),
        (["compression_study", "--max-bytes", "-5"], "--max-bytes must be above 0"),
        (["compression_study", "--set", "Trainer.epoch=1"], "did you mean epochs"),
        (["compression_study", "--set", "Trainer.epochs=1"], "decides itself how much"),
        (["compression_study", "--set", " TeacherTrainer.seed =1"], "decides itself how much"),
        (["keyword_spotting", "--max-bytes", "20000"], "--max-bytes is for compression_study"),
        (["keyword_spotting", "--budget-minutes", "5"], "--budget-minutes is for compression"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_runs(tmp_path, arguments, said):
    asked = parse(["pipeline", "run", *arguments, "--root", str(tmp_path / "root")])
    with pytest.raises(UserError, match=said):
        asked.run(asked)
    assert not (tmp_path / "root").exists()
