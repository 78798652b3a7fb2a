"""Arm's compiler for Ethos-U NPUs, asked what a model costs there: an estimate."""

from __future__ import annotations

import csv
import dataclasses
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from components.base import UserError

_NPU_SHARE = re.compile(r"NPU operators = \d+ \((\d+(?:\.\d+)?)%\)")
_LIMIT_S = 600


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """Vela's figures for one inference; its field names are those of infra_validation.json.

    Attributes:
        accelerator: the configuration it was asked for.
        cycles: NPU cycles.
        sram_bytes: peak SRAM.
        macs: multiply-accumulates by its own count, which includes pooling.
        npu_share: share of operators that the NPU takes, 0 to 1.
        inferences_per_second: at the configuration's clock.
    """

    accelerator: str
    cycles: int
    sram_bytes: int
    macs: int
    npu_share: float
    inferences_per_second: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class NotCompiled:
    """Vela refused the model or failed, and the reason."""

    reason: str


def estimate(model: Path, accelerator: str) -> Estimate | NotCompiled:
    """What `model` costs on `accelerator`, e.g. ``ethos-u55-128``.

    Raises:
        UserError: if Vela is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="vela-") as folder:
        command = [_vela(), "--accelerator-config", accelerator, "--output-dir", folder]
        try:
            done = subprocess.run(
                [*command, str(model.resolve())],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_LIMIT_S,
                cwd=folder,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return NotCompiled(reason=f"Vela did not end within {_LIMIT_S} seconds")
        tables = sorted(Path(folder).glob("*_summary_*.csv"))
        if done.returncode != 0 or not tables:
            said = (done.stderr or done.stdout).strip().splitlines()
            return NotCompiled(reason=said[-1] if said else f"ended with code {done.returncode}")
        with tables[0].open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file))
        share = _NPU_SHARE.search(done.stdout)
    return Estimate(
        accelerator=accelerator,
        cycles=int(float(row["cycles_total"])),
        # The table is in KiB.
        sram_bytes=round(float(row["sram_memory_used"]) * 1024),
        macs=int(float(row["nn_macs"])),
        npu_share=float(share.group(1)) / 100.0 if share else 0.0,
        inferences_per_second=float(row["inferences_per_second"]),
    )


def _vela() -> str:
    beside = Path(sys.executable).with_name("vela")
    found = str(beside) if beside.exists() else shutil.which("vela")
    if found is None:
        raise UserError("vela is not installed: install ethos-u-vela, as requirements.txt names it")
    return found
