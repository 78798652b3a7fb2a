"""The HTML report: whole, self-contained, safe against what the data says, honest about gaps."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from PIL import Image

from pipeline.report import write_report
from pipeline.report.quality import figure_rows
from tests.fixtures.browser import PATIENCE_MS, SMALL_SHM

PAYLOADS = Path(__file__).parents[1] / "payloads"
ARTIFACTS = {
    "ExampleGen.examples": ["examples.json"],
    "StatisticsGen.statistics": ["statistics.json"],
    "ExampleValidator.validation": ["anomalies.json"],
    "Transform.features": ["features.json"],
    "TeacherTrainer.model": ["history.json", "model.json"],
    "Trainer.model": ["history.json", "model.json"],
    "Converter.model": ["conversion.json"],
    "Evaluator.evaluation": ["evaluation.json"],
    "InfraValidator.result": ["infra_validation.json"],
}
HOSTILE = 'go/<script>alert("1")</script>&$x_nohash_0.wav'
HOSTILE_LABEL = '"><img src=x onerror=alert(1)>'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / name).read_text(encoding="utf-8"))


BRIEF = {"history.json": {"loss": [1.2, 0.7], "validation_loss": [1.3, 0.9]}}


def place(root: Path, contents: dict[str, Any]) -> dict[str, Path]:
    """Artifact folders with the made-up payloads, those in `contents` instead of the files."""
    contents = {**BRIEF, **contents}
    artifacts = {}
    for name, files in ARTIFACTS.items():
        artifacts[name] = root / name
        artifacts[name].mkdir(parents=True)
        for file in files:
            content = contents.get(file, payload(file))
            (artifacts[name] / file).write_text(json.dumps(content), encoding="utf-8")
    return artifacts


def recording(path: Path, rate: int = 22_050, channels: int = 2) -> str:
    """Writes a tone; gives the SHA-256 of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.4 * np.sin(np.arange(rate) * 2 * np.pi * 440 / rate)
    soundfile.write(path, np.stack([tone] * channels, axis=1), rate)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wav(samples: int) -> bytes:
    """A WAV file of silence."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(samples), 16_000, format="WAV")
    return buffer.getvalue()


def page(path: Path) -> tuple[str, ElementTree.Element]:
    """The page's text and its tree; fails if an element is not closed or not escaped."""
    text = path.read_text(encoding="utf-8")
    return text, ElementTree.fromstring(text)


def headings(tree: ElementTree.Element) -> list[str]:
    return ["".join(h.itertext()) for h in tree.iter("h2")]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a released run whose first mistake can be re-read."""
    root = tmp_path_factory.mktemp("full")
    evaluation = payload("evaluation.json")
    digest = recording(root / "recordings" / evaluation["worst"][0]["path"])
    evaluation["worst"][0]["digest"] = digest
    contents = {"evaluation.json": evaluation, "history.json": payload("history.json")}
    artifacts = place(root, contents)
    out = root / "report.html"
    write_report(out, payload("report.json"), artifacts, root / "recordings")
    return out


def test_every_section_of_a_whole_run_is_there(full: Path) -> None:
    text, tree = page(full)
    assert headings(tree) == [
        "Gates",
        "Figures",
        "Recall of each label",
        "Accuracy of each speaker",
        "What is taken for what",
        "False accepts against missed words",
        "Worst mistakes",
        "Training",
        "Runtimes and targets",
        "Data",
        "Steps",
    ]
    assert "Released keyword_spotting 3" in text
    assert "FULLY_CONNECTED v4 runs on the CPU" in text
    assert "7 recordings are clipped" in text
    for link in tree.iter("a"):
        anchor = link.get("href", "")
        assert anchor.startswith("#")
        assert f'id="{anchor[1:]}"' in text


def test_it_loads_nothing_from_elsewhere(full: Path) -> None:
    text, tree = page(full)
    assert not list(tree.iter("script"))
    assert not list(tree.iter("link"))
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    for element in tree.iter():
        for name, value in element.attrib.items():
            if name in ("src", "href"):
                assert value.startswith(("#", "data:")), (element.tag, value[:80])
    assert all(url.startswith("#") for url in re.findall(r"url\(['\"]?([^)'\"]*)", text))


def test_pictures_have_alternative_texts_and_follow_the_page_in_colour(full: Path) -> None:
    text, tree = page(full)
    plots = list(tree.iter("svg"))
    assert len(plots) == 1 + 1 + 2 * 2  # trade-off, one mistake, two trainings of two measures
    assert all(p.get("role") == "img" and p.get("aria-label") for p in plots)
    assert "prefers-color-scheme: dark" in text
    assert "stroke: var(--series-0)" in text
    assert "#03030" not in text
    ids = [e.get("id") for e in tree.iter() if e.get("id")]
    assert len(ids) == len(set(ids))


def test_speakers_and_labels_come_worst_first(full: Path) -> None:
    _, tree = page(full)
    for section in ("labels", "speakers"):
        (found,) = (s for s in tree.iter("section") if s.get("id") == section)
        shares = [
            float("".join(e.itertext()).rstrip("%"))
            for e in found.iter("span")
            if e.get("class") == "share"
        ]
        assert len(shares) >= 12
        assert shares == sorted(shares)


def test_a_mistake_is_shown_only_while_its_recording_is_there(full: Path) -> None:
    _, tree = page(full)
    (section,) = (s for s in tree.iter("section") if s.get("id") == "mistakes")
    first, *others = section.iter("figure")
    assert first.find("svg") is not None
    assert "no longer there" not in "".join(first.itertext())
    for other in others:
        assert other.find("svg") is None
        assert "no longer there" in "".join(other.itertext())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not a sound", "can no longer be read"),
        (b"", "can no longer be read"),
        (wav(samples=100), "too short"),
        (None, "changed"),
    ],
)
def test_a_mistake_whose_recording_is_not_what_it_was(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    evaluation = payload("evaluation.json")
    evaluation["worst"][0]["digest"] = "0" * 64
    file = tmp_path / "recordings" / evaluation["worst"][0]["path"]
    recording(file, rate=8_000, channels=1)
    if content is not None:
        file.write_bytes(content)
    artifacts = place(tmp_path, {"evaluation.json": evaluation})
    write_report(tmp_path / "r.html", payload("report.json"), artifacts, tmp_path / "recordings")
    assert said in page(tmp_path / "r.html")[0]


def test_what_the_data_says_is_never_markup(tmp_path: Path) -> None:
    evaluation, features = payload("evaluation.json"), payload("features.json")
    evaluation["worst"][0] |= {"path": HOSTILE, "truth": HOSTILE_LABEL}
    evaluation["worst"][1]["path"] = "../../outside.wav"
    recording(tmp_path / "outside.wav")
    (tmp_path / "a" / "recordings" / "go").mkdir(parents=True)
    evaluation["confusion"]["labels"][0] = HOSTILE_LABEL
    evaluation["per_label"][HOSTILE_LABEL] = {"recall": 0.5, "precision": None, "n": 2}
    evaluation["per_speaker"][HOSTILE_LABEL] = {"accuracy": 0.5, "n": 2}
    report = payload("report.json")
    report["model"]["name"] = HOSTILE_LABEL
    history = {HOSTILE_LABEL: [1.0, 2.0], f"validation_{HOSTILE_LABEL}": [1.0, 2.0]}
    artifacts = place(
        tmp_path,
        {"evaluation.json": evaluation, "features.json": features, "history.json": history},
    )
    out = tmp_path / "r.html"
    write_report(out, report, artifacts, tmp_path / "a" / "recordings")
    text, tree = page(out)
    assert "<script" not in text
    assert "<img" not in text
    assert not list(tree.iter("img"))
    assert not list(tree.iter("script"))
    said = "".join(tree.itertext())
    assert HOSTILE in said
    assert HOSTILE_LABEL in said
    (mistakes,) = (s for s in tree.iter("section") if s.get("id") == "mistakes")
    assert not list(mistakes.iter("svg")), "a path out of the recordings was read"


def test_a_refused_run_says_which_gate_and_what_to_try(tmp_path: Path) -> None:
    report = payload("report.json")
    report["bundle"] = None
    report["gates"][0] |= {"passed": False, "value": 0.031, "advice": "raise Quantizer.epochs"}
    write_report(tmp_path / "r.html", report, place(tmp_path, {}), tmp_path)
    text, tree = page(tmp_path / "r.html")
    assert "Refused: keyword_spotting" in text
    assert "Not passed: int8 drop" in text
    (gates,) = (s for s in tree.iter("section") if s.get("id") == "gates")
    first = "".join(next(iter(next(iter(gates.iter("tbody"))))).itertext())
    assert "int8 drop" in first
    assert "raise Quantizer.epochs" in first


@pytest.mark.parametrize("missing", sorted(ARTIFACTS))
def test_any_artifact_may_be_missing(tmp_path: Path, missing: str) -> None:
    artifacts = place(tmp_path, {})
    shutil.rmtree(artifacts[missing])
    write_report(tmp_path / "r.html", payload("report.json"), artifacts, tmp_path)
    assert "Gates" in headings(page(tmp_path / "r.html")[1])


def test_a_run_that_stopped_at_once_still_has_a_report(tmp_path: Path) -> None:
    report = payload("report.json")
    report |= {"bundle": None, "gates": [], "metrics": {}, "steps": []}
    report["model"] = {"name": "keyword_spotting", "version": None}
    write_report(tmp_path / "r.html", report, {}, tmp_path)
    text, tree = page(tmp_path / "r.html")
    assert headings(tree) == []
    assert "ended before a bundle was made" in text


def test_a_runtime_that_did_not_run_is_named(tmp_path: Path) -> None:
    infra = payload("infra_validation.json")
    infra["runtimes"]["tflm"] = dict.fromkeys(infra["runtimes"]["tflm"])
    infra["tflm_parity"] |= {"rows": 0, "verdict": "not run"}
    infra |= {"arena_bytes": None, "vela": None}
    artifacts = place(tmp_path, {"infra_validation.json": infra})
    write_report(tmp_path / "r.html", payload("report.json"), artifacts, tmp_path)
    text, _ = page(tmp_path / "r.html")
    assert "✗ did not run" in text
    assert "ethos" not in text


def test_nothing_half_made_is_left(tmp_path: Path) -> None:
    (tmp_path / "r.html").mkdir()
    with pytest.raises(IsADirectoryError):
        write_report(tmp_path / "r.html", payload("report.json"), {}, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_equal_runs_give_equal_reports(tmp_path: Path) -> None:
    artifacts = place(tmp_path, {})
    for name in ("a.html", "b.html"):
        write_report(tmp_path / name, payload("report.json"), artifacts, tmp_path)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here to open the report in")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_on_a_phone(full: Path, tmp_path: Path, scheme: str) -> None:
    assert CHROMIUM is not None
    shot = tmp_path / "shot.png"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", SMALL_SHM]
    command += ["--hide-scrollbars"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=400,900"]
    command += [f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"]
    command += [f"--screenshot={shot}", full.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_MS / 1000)
    with Image.open(shot) as image:
        pixels = np.asarray(image.convert("RGB"), int)
    assert pixels.shape == (900, 400, 3)
    page_colour = pixels[2, 2]
    assert (page_colour.mean() > 200) == (scheme == "light")
    # The verdict's band: green stands out at its left edge, and text covers part of it.
    band = pixels[60:160, 12:19].reshape(-1, 3).mean(axis=0)
    assert band[1] > band[0] + 30
    assert band[1] > band[2]
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50


@pytest.mark.parametrize(("key", "name"), [("gate", "gate"), ("early_exit", "early exit")])
def test_what_is_spared_stands_beside_the_figures_of_a_bundle_that_spares(key, name):
    evaluation = payload("evaluation.json")
    plain = figure_rows(evaluation)
    sparing = {
        "accuracy_without": 0.882,
        "other_sound": {"saved": 0.25},
        "words_and_pauses": {"saved": -0.02},
    }
    more = figure_rows(evaluation | {key: sparing})[len(plain) :]
    assert [row.value for row in more] == ["88.2%", "25.0%", "-2.0%"]
    assert all(name in row.name for row in more)
    assert not any(name in row.name for row in plain)
