"""A pump in a closed circuit, second by second: a stand-in for real logs, and no more than that.

Demand rises and falls with each minute and wanders a little. Speed follows demand; flow is proportional
to speed and to what the valve lets through, pressure to its square and to what it holds back, power
to their product. The motor warms with the power's losses and cools towards the room (first order).
Vibration grows with speed and with the bearing's wear. Every sensor has noise of its own; each pump
has its own size, room and noise.

Faults, each in full or growing over the time that it is labelled:

    valve    half closed: less flow, more pressure
    leak     a part of the flow is lost before the sensor: less flow and pressure at the same power
    bearing  wear grows: vibration rises slowly, then power
    cooling  the fan stands: the motor warms at the same power
    sensor   the flow sensor keeps its last value
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CHANNELS = ("flow", "pressure", "power", "motor_temperature", "vibration")
FAULTS = ("valve", "leak", "bearing", "cooling", "sensor")
_FAULT_BEGINS, _FAULT_ENDS = 0.45, 0.7  # parts of the log
_WARMING_S, _CYCLE_S = 120.0, 60.0

Float64 = npt.NDArray[np.float64]


def log(rows: int, fault: str, seed: int) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """One pump's log.

    Args:
        rows: seconds.
        fault: one of `FAULTS`.
        seed: of its size, its room and its noise.

    Returns:
        Values of shape (rows, channels), and which rows are anomalous.
    """
    random = np.random.default_rng(seed)
    size, room, noise = random.uniform(0.7, 1.4), random.uniform(15, 30), random.uniform(0.7, 1.3)
    begin, end = round(_FAULT_BEGINS * rows), round(_FAULT_ENDS * rows)
    anomalous = np.zeros(rows, bool)
    anomalous[begin:end] = True
    grown = np.where(anomalous, np.clip((np.arange(rows) - begin) / (end - begin), 0, 1), 0.0)

    second = np.arange(rows)
    wander = _first_order(random.normal(size=rows) * 0.6, 60.0, 0.0)
    speed = 0.8 + 0.12 * np.sin(2 * np.pi * second / _CYCLE_S + random.uniform(0, 6)) + wander
    valve = np.where(anomalous & (fault == "valve"), 0.6, 1.0)
    lost = np.where(anomalous & (fault == "leak"), 0.15, 0.0)
    wear = grown * (fault == "bearing")
    flow = size * 50 * speed * valve
    pressure = size * 4 * speed**2 * (1.6 - 0.6 * valve) * (1 - lost)
    power = flow * pressure / 100 * (1 + 0.3 * wear) + 0.5 * size
    cooling = np.where(anomalous & (fault == "cooling"), 0.4, 1.0)
    temperature = room + _first_order(6 * power / size / cooling, _WARMING_S, 6 * power[0] / size)
    vibration = size * (0.5 + 1.5 * speed**2) * (1 + 2 * wear)
    flow = flow * (1 - lost)
    clean = np.stack([flow, pressure, power, temperature, vibration], axis=1)
    spread = noise * size * np.array([0.4, 0.04, 0.03, 0.1 / size, 0.08])
    values = clean + spread * random.normal(size=clean.shape)
    if fault == "sensor":
        values[begin:end, 0] = values[begin, 0]
    return values, anomalous


def _first_order(driven: Float64, seconds: float, start: float) -> Float64:
    """What follows `driven` with a time constant of `seconds`."""
    value, followed = start, np.empty_like(driven)
    for i, target in enumerate(driven.tolist()):
        value += (target - value) / seconds
        followed[i] = value
    return followed
