"""What waits to be told to the fleet server, between the daemon and the updater."""

import pytest

from edge_agent.update import telemetry
from edge_agent.update.telemetry import Work

FIRST, SECOND = ("words", "1.0.0"), ("words", "1.0.1")


def test_each_report_is_told_once_and_its_number_rises(tmp_path):
    assert telemetry.waiting(tmp_path) == []
    assert telemetry.keep(tmp_path, {FIRST: Work(hours=1, triggers=3), SECOND: Work(hours=0.5)})
    assert not telemetry.keep(tmp_path, {SECOND: Work(hours=2)}), "what waits is told first"
    one, two = telemetry.waiting(tmp_path)
    assert one["release"] == {"name": "words", "version": "1.0.0"}
    assert (one["hours"], one["triggers"], two["triggers"]) == (1, 3, None)
    telemetry.told(tmp_path, one)
    assert telemetry.waiting(tmp_path) == [two]
    telemetry.told(tmp_path, two)
    assert telemetry.keep(tmp_path, {SECOND: Work(hours=2)})
    (three,) = telemetry.waiting(tmp_path)
    assert one["sequence"] < two["sequence"] < three["sequence"]


def test_a_clock_that_went_back_turns_no_number_back(tmp_path, monkeypatch):
    telemetry.keep(tmp_path, {FIRST: Work(hours=1)})
    (before,) = telemetry.waiting(tmp_path)
    telemetry.told(tmp_path, before)
    monkeypatch.setattr("time.time", lambda: 0.0)
    telemetry.keep(tmp_path, {FIRST: Work(hours=1)})
    assert telemetry.waiting(tmp_path)[0]["sequence"] == before["sequence"] + 1


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b'{"sequence": "x", "reports": []}', b'{"sequence": 3}', b"{" * 9],
)
def test_a_damaged_file_is_begun_anew(tmp_path, content):
    (tmp_path / "telemetry.json").write_bytes(content)
    assert telemetry.waiting(tmp_path) == []
    assert telemetry.keep(tmp_path, {FIRST: Work(hours=1)})
    assert len(telemetry.waiting(tmp_path)) == 1
