"""What a run leaves at its root: report.json, report.html, latest.bundle or a refused candidate."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.artifacts import read_json, write_json
from pipeline.runner import RunResult

_AT_TOP = "keyword_spotting"
REFUSED = "refused.bundle"
_REPORT = "report.html"


def report_of(recipe: str, root: Path, result: RunResult, seconds: float) -> dict[str, Any]:
    """The content of ``report.json``."""
    artifacts = result.artifacts
    of_rows = "AnomalyTrainer.model" in artifacts
    model, metrics = _rows(artifacts) if of_rows else _network(artifacts)
    release = _release(artifacts)
    return {
        "recipe": recipe,
        "run": result.run,
        "made_from": _made_from(result),
        "seconds": round(seconds, 1),
        "bundle": None if release is None else str(root / recipe / "latest.bundle"),
        "model": {
            "name": recipe,
            "version": None if release is None else release["version"],
            **model,
        },
        "metrics": metrics,
        "gates": [dataclasses.asdict(gate) for gate in result.gates],
        "steps": [
            {"id": step.id, "seconds": round(step.seconds, 2), "hit": step.hit}
            for step in result.steps
        ],
    }


def leave(
    recipe: str, root: Path, result: RunResult, report: Mapping[str, Any], recordings: Path
) -> None:
    """Writes the outcome below `root`, each file whole or not at all.

    A released bundle becomes ``latest.bundle``; a refused one is kept beside it as
    ``refused.bundle``, and ``latest.bundle`` stays what it was. A report.html that was drawn from
    the same artifacts stays too.
    """
    folder = root / recipe
    drawn = [folder / _REPORT, *([root / _REPORT] if recipe == _AT_TOP else [])]
    stays = _made_before(folder) == report["made_from"] and all(path.is_file() for path in drawn)
    candidate = result.artifacts["Packager.bundle"] / "candidate.bundle"
    aside = folder / ".outcome"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        write_json(aside / "report.json", report)
        if not stays:
            # Drawing takes a second to import, and an unchanged run needs none of it.
            from pipeline.report.html import write_report

            write_report(aside / _REPORT, dict(report), result.artifacts, recordings)
        shutil.copyfile(candidate, aside / ("latest.bundle" if report["bundle"] else REFUSED))
        for path in sorted(aside.iterdir()):
            if recipe == _AT_TOP and path.name != REFUSED:
                copy = aside / f".{path.name}"
                shutil.copyfile(path, copy)
                os.replace(copy, root / path.name)
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(aside)
    if report["bundle"]:
        (folder / REFUSED).unlink(missing_ok=True)


def _made_from(result: RunResult) -> str:
    """Digest of the artifacts, and of what draws the report of them, hex."""
    total = hashlib.sha256()
    for name, digest in sorted(result.digests.items()):
        total.update(f"{name}={digest}\n".encode())
    for path in sorted((Path(__file__).parent / "report").rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            total.update(path.read_bytes())
    return total.hexdigest()


def _made_before(folder: Path) -> str | None:
    """What the report that is there was made from."""
    try:
        found = read_json(folder / "report.json").get("made_from")
    except (OSError, ValueError, AttributeError):
        return None
    return str(found)


def _release(artifacts: Mapping[str, Path]) -> dict[str, Any] | None:
    folder = artifacts.get("Pusher.release")
    return None if folder is None else read_json(folder / "release.json")


def _network(artifacts: Mapping[str, Path]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sizes of the model, and metrics, of a recipe that ends in a network."""
    conversion = read_json(_on_device(artifacts) / "conversion.json")
    infra = read_json(artifacts["InfraValidator.result"] / "infra_validation.json")
    evaluation = read_json(artifacts["Evaluator.evaluation"] / "evaluation.json")
    sizes = {
        "params": read_json(_trained(artifacts) / "model.json")["params"],
        "bytes": conversion["bytes"],
        "download_bytes": conversion["download_bytes"],
        "arena_bytes": infra["arena_bytes"],
        "macs": infra["macs"],
    }
    return sizes, _metrics(evaluation, infra)


def _on_device(artifacts: Mapping[str, Path]) -> Path:
    """The model as the device runs it."""
    return artifacts.get("Streamer.model", artifacts["Converter.model"])


def _trained(artifacts: Mapping[str, Path]) -> Path:
    """The model that was converted: that of the last of the training steps."""
    steps = ("Quantizer", "Distiller", "Pruner", "Trainer")
    return next(artifacts[f"{step}.model"] for step in steps if f"{step}.model" in artifacts)


def _rows(artifacts: Mapping[str, Path]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same of a recipe for anomaly detection, with or without a network."""
    model = read_json(artifacts["AnomalyTrainer.model"] / "model.json")
    evaluation = read_json(artifacts["AnomalyTrainer.evaluation"] / "evaluation.json")
    sizes = {
        "params": model["params"],
        "bytes": model["bytes"],
        "download_bytes": (artifacts["Packager.bundle"] / "candidate.bundle").stat().st_size,
        "arena_bytes": model["arena_bytes"],
        "macs": model["macs"],
    }
    figures = {
        name: value
        for name, value in evaluation.items()
        if value is None or isinstance(value, int | float | str)
    }
    by_detector = {name: found["quality"] for name, found in evaluation["compared"].items()}
    names = ("nab", "nab_control", "crosswise", "strays", "without")
    tables = {name: evaluation[name] for name in names}
    return sizes, {**figures, **tables, "quality_by_detector": by_detector}


def _metrics(evaluation: Mapping[str, Any], infra: Mapping[str, Any]) -> dict[str, float]:
    paired = evaluation["paired"]
    # Pictures are no stream.
    false_accepts = evaluation.get("false_accepts")
    stream = {}
    if false_accepts is not None:
        stream = {
            "false_accepts_per_hour": false_accepts["per_hour"],
            "false_rejects": false_accepts["false_rejects"],
        }
    spared = {
        f"{name}_saved": evaluation[name]["other_sound"]["saved"]
        for name in ("gate", "early_exit")
        if name in evaluation
    }
    chosen = {
        name: evaluation[name]
        for name in (
            "float_accuracy",
            "int8_accuracy",
            "teacher_accuracy",
            "teacher_agreement",
            "int8_single_accuracy",
            "float_single_accuracy",
            "val_int8_accuracy",
        )
    }
    return {
        **chosen,
        "int8_drop": paired["drop"],
        "int8_drop_upper_95": paired["drop_upper_95"],
        "int8_agreement": paired["agreement"],
        **stream,
        **spared,
        **{f"latency_ms_{name}": r["latency_ms"] for name, r in infra["runtimes"].items()},
    }
