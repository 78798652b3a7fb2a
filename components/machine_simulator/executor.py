"""Executor of MachineSimulator."""

from __future__ import annotations

import datetime

from components.base import Inputs, Metrics, Outputs
from components.machine_simulator.component import MachineSimulatorParameters
from components.machine_simulator.pump import CHANNELS, FAULTS, log

_BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def execute(_inputs: Inputs, outputs: Outputs, parameters: MachineSimulatorParameters) -> Metrics:
    """Writes ``pump-NNN-FAULT.csv`` for each machine."""
    for number in range(parameters.machines):
        fault = FAULTS[number % len(FAULTS)]
        values, anomalous = log(parameters.rows, fault, parameters.seed * 1000 + number)
        lines = [",".join(("time", *CHANNELS, "anomaly"))]
        for second, (row, label) in enumerate(zip(values.tolist(), anomalous, strict=True)):
            time = (_BEGIN + datetime.timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")
            lines.append(",".join([time, *(f"{value:.4f}" for value in row), str(int(label))]))
        path = outputs["recordings"] / f"pump-{number:03d}-{fault}.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"files": float(parameters.machines)}
