"""How long a simulation will take, as a person is told."""

from __future__ import annotations

from fleet.simulator.progress import Progress, steps_left


def group(touched: int, devices: int, state: str = "running") -> dict[str, object]:
    return {"name": "canary", "state": state, "touched": touched, "devices": devices}


def test_steps_that_are_left_follow_the_growth():
    waiting = [group(0, 20, "waiting"), group(0, 1280, "waiting")]
    assert steps_left(waiting, 20, 2.0, 6) == (1 + 0) + (1 + 6) + 6
    assert steps_left(waiting, 20, 4.0, 6) == (1 + 0) + (1 + 3) + 6
    assert steps_left(waiting, 20, 0.0, 6) == steps_left(waiting, 20, 2.0, 6)
    assert steps_left([group(20, 20, "done"), group(640, 1280)], 20, 2.0, 6) == 2 + 6


def test_it_tells_every_ten_seconds_and_what_is_left():
    now, lines = [0.0], []
    progress = Progress(1000, lines.append, lambda: now[0])
    progress.polled(256, 1000)
    now[0] = 10.0
    progress.polled(512, 1000)
    assert lines == ["registering: 512 of 1,000 polled in this step"]
    now[0] = 30.0
    progress.stepped([group(20, 1000)], 5)
    now[0] = 45.0
    progress.polled(500, 1000)
    assert lines[1] == (
        "canary: 20 of 1,000 devices touched: 500 of 1,000 polled in this step; about 2 min left"
    )
