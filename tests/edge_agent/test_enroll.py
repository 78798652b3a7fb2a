"""Learning on the device: a word is taught, heard, listed, reverted, and carried to the next bundle."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from edge_agent.__main__ import main
from edge_agent.adaptation import adapting, learning
from edge_agent.adaptation.carrying import carried
from edge_agent.adaptation.errors import AdaptationError
from edge_agent.adaptation.versions import KEPT, Versions
from edge_agent.bundle import archive
from edge_agent.command_line import parse
from edge_agent.features.audio import AudioFeatures
from edge_agent.keyword.head import Head
from tests.fixtures.bundles import LABELS, make_bundle
from tests.fixtures.daemons import daemon, write_config
from tests.fixtures.speech import utterance, wav_bytes
from tests.fixtures.teachable import (
    WORDS,
    make_teachable_bundle,
    make_teachable_gated_bundle,
    make_teachable_streaming_bundle,
)


class Device:
    """A device folder, a bundle, recordings, and the command line."""

    def __init__(self, folder, capsys):
        self.folder, self._capsys = folder, capsys
        self.root = folder / "device"
        self.root.mkdir()
        self.bundle = make_teachable_bundle(folder / "words.bundle")

    def run(self, *words) -> tuple[int, dict, str]:
        code = main(parse(["edge_agent", *map(str, words), "--json"]))
        out, err = self._capsys.readouterr()
        return code, json.loads(out) if code == 0 and out.count("\n") == 1 else out, err

    def recordings(self, word="lamp", count=6, first=50) -> list:
        paths = []
        for n in range(first, first + count):
            path = self.folder / f"{word}-{n}.wav"
            path.write_bytes(wav_bytes(utterance(word, WORDS, seed=n)))
            paths.append(path)
        return paths

    def enroll(self, word="lamp", files=None):
        files = self.recordings() if files is None else files
        return self.run("enroll", word, *files, "--root", self.root, "--bundle", self.bundle)

    def spot(self, *words) -> list[str]:
        path = self.folder / "said.wav"
        said = [utterance(word, WORDS, seed=n) for n, word in enumerate((*words, "_silence_"))]
        path.write_bytes(wav_bytes(np.concatenate(said)))
        _, out, _ = self.run("spot", path, "--bundle", self.bundle, "--root", self.root)
        lines = [out] if isinstance(out, dict) else map(json.loads, out.splitlines())
        return [line["label"] for line in lines if "label" in line]


@pytest.fixture
def device(tmp_path, capsys) -> Device:
    return Device(tmp_path, capsys)


def test_a_taught_word_is_heard_and_the_others_still_are(device):
    assert device.spot("yes", "lamp", "no") == ["yes", "no"]
    code, said, _ = device.enroll()
    assert (code, said["version"], said["words"], said["heard"]) == (
        0,
        1,
        {"lamp": 6},
        {"lamp": 1.0},
    )
    assert said["check_after"] >= said["check_before"] - 0.01
    assert 0 < said["distance"] < 0.5
    assert device.spot("yes", "lamp", "no") == ["yes", "lamp", "no"]


def test_a_known_word_is_learned_as_somebody_else_says_it(device):
    # A voice that says "yes" at the pitch of "lamp".
    assert device.spot("lamp", "no") == ["no"]
    code, said, _ = device.enroll("yes")
    assert (code, said["words"]) == (0, {"yes": 6})
    assert device.spot("lamp", "no", "stop") == ["yes", "no", "stop"]


def test_a_gate_that_knows_nothing_of_a_taught_word_is_left_out_while_it_is_used(device):
    device.bundle = make_teachable_gated_bundle(device.folder / "gated.bundle")
    assert device.spot("yes", "lamp") == ["yes"]
    assert device.enroll()[0] == 0
    assert device.spot("yes", "lamp") == ["yes", "lamp"]
    device.run("revert", "--root", device.root)
    assert device.spot("yes", "lamp") == ["yes"]


def test_a_streaming_model_learns_as_another_does(device):
    device.bundle = make_teachable_streaming_bundle(device.folder / "streaming.bundle")
    assert device.spot("yes", "lamp", "no") == ["yes", "no"]
    assert device.enroll()[1]["heard"] == {"lamp": 1.0}
    assert device.spot("yes", "lamp", "no") == ["yes", "lamp", "no"]
    device.run("revert", "--root", device.root)
    assert device.spot("yes", "lamp", "no") == ["yes", "no"]


def test_versions_are_listed_and_reverted(device):
    device.enroll()
    device.enroll(files=device.recordings(first=80, count=5))
    _, listed, _ = device.run("adaptations", "--root", device.root)
    assert listed["current"] == 2
    assert [each["words"] for each in listed["versions"]] == [{"lamp": 6}, {"lamp": 5}]
    assert device.run("revert", "--root", device.root)[1] == {"from": 2, "to": 1}
    assert device.spot("lamp") == ["lamp"]
    assert device.run("revert", "0", "--root", device.root)[1] == {"from": 1, "to": 0}
    assert device.spot("lamp") == []
    code, _, err = device.run("revert", "--root", device.root)
    assert (code, "no way back" in err) == (1, True)
    code, _, err = device.run("revert", "7", "--root", device.root)
    assert (code, "known are 0, 1, 2" in err) == (1, True)


def test_a_device_that_is_not_there_has_not_just_learned_nothing(device):
    wav = device.recordings(count=1)[0]
    code, _, err = device.run("spot", wav, "--bundle", device.bundle, "--root", device.root / "no")
    assert (code, "no such folder: --root" in err) == (1, True)


def test_a_damaged_version_is_named_and_can_be_left(device):
    device.enroll()
    path = device.root / "adaptations" / "0001.npz"
    path.write_bytes(path.read_bytes()[:200])
    code, _, err = device.enroll()
    assert (code, "0001.npz: is damaged" in err, "revert" in err) == (1, True, True)
    _, listed, _ = device.run("adaptations", "--root", device.root)
    assert "damaged" in listed["versions"][0]
    assert device.run("revert", "--root", device.root)[1] == {"from": 1, "to": 0}
    assert device.enroll()[0] == 0


def test_whatever_befell_a_version_s_bytes_it_is_named_damaged_or_read(device):
    device.enroll()
    path = device.root / "adaptations" / "0001.npz"
    whole, versions = path.read_bytes(), Versions(device.root)
    # All that zipfile and numpy believe before a checksum: headers of members and arrays, the directory.
    names = [whole.index(b"weights.npy"), whole.rindex(b"weights.npy"), len(whole) - 22]
    found = set()
    for place in {n + k for n in names for k in range(-46, 22) if n + k < len(whole)}:
        for bit in (1, 32, 128):
            damaged = bytearray(whole)
            damaged[place] ^= bit
            path.write_bytes(damaged)
            try:
                versions.read(1)
            except AdaptationError as e:
                found.add(type(e.__cause__).__name__)
    assert {"NotImplementedError", "BadZipFile"} <= found


def too_long(device):
    path = device.folder / "long.wav"
    path.write_bytes(wav_bytes(utterance("lamp", WORDS, seconds=11)))
    return path


def silent(device):
    path = device.folder / "silent.wav"
    path.write_bytes(wav_bytes(np.zeros(16_000, np.int16)))
    return path


def text(device):
    path = device.folder / "text.wav"
    path.write_text("not a recording")
    return path


@pytest.mark.parametrize(
    ("word", "files", "reason"),
    [
        ("lamp", lambda d: d.recordings(count=4), "4 recordings: give 5 to 20"),
        ("lamp", lambda d: d.recordings(count=21), "21 recordings: give 5 to 20"),
        ("lamp", lambda d: [d.recordings()[0]] * 5, "is the same recording as another"),
        ("lamp", lambda d: [*d.recordings(), too_long(d)], "long.wav: lasts 11 s"),
        ("lamp", lambda d: [*d.recordings(), silent(d)], "silent.wav: is silent"),
        ("lamp", lambda d: [*d.recordings(), text(d)], "text.wav"),
        ("lamp", lambda d: [*d.recordings(), d.folder / "none.wav"], "none.wav"),
        ("_unknown_", lambda d: d.recordings(), "cannot be learned"),
        ("la\nmp", lambda d: d.recordings(), "cannot be learned"),
        ("lamp ", lambda d: d.recordings(), "without spaces around it"),
        ("lamp-50.wav", lambda d: d.recordings(), "say first what the recordings hold"),
        ("lamp", lambda d: d.recordings("stop"), "0% of the recordings of 'lamp' were heard"),
        (
            "lamp",
            lambda d: [d.recordings(w, 1)[0] for w in ("lamp", "yes", "no", "stop", "_unknown_")],
            "%",
        ),
    ],
)
def test_what_cannot_be_learned_is_refused_and_nothing_changes(device, word, files, reason):
    code, _, err = device.enroll(word, files(device))
    assert (code, reason in err) == (1, True), err
    assert Versions(device.root).numbers() == []
    assert device.spot("yes", "stop") == ["yes", "stop"]


def test_what_costs_a_shipped_word_is_refused(device, monkeypatch):
    monkeypatch.setattr(adapting, "_CAUTIONS", (1e-6,))
    monkeypatch.setattr(learning, "_WEIGHT", 100.0)
    code, _, err = device.enroll("yes", device.recordings("stop"))
    assert (code, "would lose 20.0 points on the bundle's check set" in err) == (1, True), err
    assert Versions(device.root).numbers() == []


def test_a_bundle_that_cannot_learn_says_so(device):
    make_bundle(device.bundle)
    code, _, err = device.enroll()
    assert (code, "holds nothing to learn with" in err) == (1, True)


def test_what_was_learned_on_another_bundle_is_not_used_unseen(device):
    device.enroll()
    make_teachable_bundle(device.bundle, seed=1)
    code, _, err = device.run("spot", "-", "--bundle", device.bundle, "--root", device.root)
    assert (code, "was learned on another bundle" in err) == (1, True)


@pytest.mark.parametrize("frames", [49, 48])  # a streaming form may look at one less
def test_a_new_bundle_learns_it_anew_once(device, frames):
    device.enroll()
    bundle = archive.read(make_teachable_bundle(device.bundle, seed=1, frames=frames))
    versions = Versions(device.root)
    found = carried(versions, bundle)
    assert (found.event, found.version.number, found.version.bundle) == (
        "adapted",
        2,
        bundle.digest,
    )
    assert carried(versions, bundle).event is None
    assert device.spot("yes", "lamp") == ["yes", "lamp"]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: make_bundle(path, seed=1), "holds nothing to learn with"),
        (
            lambda path: make_teachable_bundle(path, features=AudioFeatures(channels=32)),
            "recorded for 40 channels",
        ),
        (lambda path: make_teachable_bundle(path, frames=40), "49 frames, and the bundle takes"),
    ],
)
def test_a_bundle_that_it_does_not_go_with_drops_it_and_says_so_once(device, make, reason):
    device.enroll()
    former, versions = archive.read(device.bundle), Versions(device.root)
    bundle = archive.read(make(device.bundle))
    found = carried(versions, bundle)
    assert (found.event, found.version, reason in found.text) == ("adaptation_dropped", None, True)
    again = carried(versions, bundle)
    assert (again.event, again.version, versions.numbers()) == (None, None, [1])
    assert carried(versions, former).version.number == 1, "a roll-back has it again"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands files over")
def test_what_root_teaches_belongs_to_the_daemon_s_user(device):
    try:
        os.chown(device.root, 4711, 4712)
    except OSError:
        pytest.skip("a sandbox, where there are no other users")
    device.enroll()
    folder = device.root / "adaptations"
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in [folder, *folder.iterdir()]}
    assert owners == {(4711, 4712)}


@pytest.mark.parametrize("name", ["adaptations", "adaptations/.lock"])
def test_root_gives_nothing_away_that_a_link_leads_to(device, name):
    elsewhere = device.folder / "elsewhere"
    elsewhere.touch() if name.endswith(".lock") else elsewhere.mkdir()
    before = elsewhere.stat()
    (device.root / name).parent.mkdir(exist_ok=True)
    (device.root / name).symlink_to(elsewhere)
    try:
        os.chown(device.root, 4711, 4712)
    except OSError:
        pytest.skip("a sandbox, where there are no other users")
    device.enroll()
    after = elsewhere.stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


def test_only_so_many_versions_are_kept(device):
    device.enroll()
    versions = Versions(device.root)
    first = versions.read(1)
    for _ in range(KEPT):
        versions.add(first.bundle, first.lessons, first.learned)
    assert versions.numbers() == list(range(2, KEPT + 2))
    assert versions.current() == KEPT + 1


def test_the_same_lessons_give_the_same_head(device):
    device.enroll()
    device.enroll()
    heads = [Versions(device.root).read(number).learned.head for number in (1, 2)]
    assert np.array_equal(heads[0].weights, heads[1].weights)
    assert np.array_equal(heads[0].bias, heads[1].bias)


def test_more_caution_stays_nearer_to_what_was_shipped():
    rng = np.random.default_rng(0)
    shipped = Head(
        labels=LABELS,
        weights=rng.normal(size=(len(LABELS), 8)).astype(np.float32),
        bias=np.zeros(len(LABELS), np.float32),
    )
    replay = rng.normal(size=(60, 8)).astype(np.float32)
    words = {"lamp": rng.normal(1.0, 0.3, (20, 8)).astype(np.float32)}
    heads = [learning.learned_head(shipped, replay, words, c) for c in (0.001, 0.03, 1.0)]
    distances = [learning.distance(head, shipped) for head in heads]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 2 * distances[-1]
    kept = [h.probabilities(replay)[:, : len(LABELS)] for h in heads]
    assert np.abs(kept[0] - shipped.probabilities(replay)).mean() < 0.05
    assert (heads[0].probabilities(words["lamp"]).argmax(1) == len(LABELS)).mean() > 0.8


def test_a_daemon_takes_up_what_is_taught_while_it_runs(device):
    os.mkfifo(device.folder / "microphone")
    microphone = os.open(device.folder / "microphone", os.O_RDWR)
    text = '[keyword]\nsource = "microphone"\nbundle = "words.bundle"\n'
    config = write_config(device.folder, text)
    with daemon(config) as running:
        running.wait("ready", "keyword")
        code, said, _ = device.run("enroll", "lamp", *device.recordings(), "--config", config)
        assert (code, said["version"]) == (0, 1)
        running.wait("ready", "keyword")
        told = running.until(lambda s: s["workloads"]["keyword"]["facts"]["adaptation"]["version"])
        about = told["workloads"]["keyword"]["facts"]["adaptation"]
        assert about["distance"] == said["distance"]
        pcm = np.concatenate([utterance(w, WORDS) for w in ("lamp", "_silence_", "_silence_")])
        os.write(microphone, pcm.tobytes()[:65_536])
        os.write(microphone, pcm.tobytes()[65_536:])
        assert running.wait("detection", "keyword")["label"] == "lamp"
        make_teachable_bundle(device.folder / "words.bundle", seed=1)
        assert running.wait("adapted", "keyword")["version"] == 2
        running.wait("ready", "keyword")
        assert running.end() == 0
    os.close(microphone)
