"""Simulated pumps: the same for the same seed, normal at first, and each fault leaves its mark."""

import numpy as np
import pytest

from components.machine_simulator.component import MachineSimulatorParameters
from components.machine_simulator.executor import execute
from components.machine_simulator.pump import CHANNELS, FAULTS, log

ROWS = 1200


def during(fault: str, channel: str) -> float:
    """Mean of a channel in the fault's last third over that of the same pump without it."""
    values, anomalous = log(ROWS, fault, 1)
    healthy, _ = log(ROWS, "sensor" if fault != "sensor" else "leak", 1)
    late = np.flatnonzero(anomalous)[-120:]
    place = CHANNELS.index(channel)
    return float(values[late, place].mean() / healthy[late, place].mean())


def test_each_fault_changes_what_it_should():
    assert during("valve", "pressure") > 1.1
    assert during("leak", "pressure") < 0.9
    assert during("bearing", "vibration") > 1.5
    assert during("cooling", "motor_temperature") > 1.1


def test_a_stuck_sensor_sticks():
    values, anomalous = log(ROWS, "sensor", 2)
    assert len(set(values[anomalous, 0])) == 1
    assert len(set(values[~anomalous, 0])) == (~anomalous).sum()


@pytest.mark.parametrize("fault", FAULTS)
def test_the_beginning_is_normal_and_finite_and_a_seed_says_all(fault):
    values, anomalous = log(ROWS, fault, 3)
    assert np.isfinite(values).all()
    assert not anomalous[: ROWS * 2 // 5].any()
    assert anomalous.any()
    np.testing.assert_array_equal(values, log(ROWS, fault, 3)[0])
    assert (values != log(ROWS, fault, 4)[0]).any()


def test_a_file_a_machine_is_written_with_its_labels(tmp_path):
    execute({}, {"recordings": tmp_path}, MachineSimulatorParameters(machines=6, rows=200))
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files[:2]] == ["pump-000-valve.csv", "pump-001-leak.csv"]
    assert len(files) == 6
    lines = files[0].read_text().splitlines()
    assert lines[0] == "time,flow,pressure,power,motor_temperature,vibration,anomaly"
    assert len(lines) == 201
    assert {line[-1] for line in lines[1:]} == {"0", "1"}
