"""Scoring a bundle on a folder of recordings, as a person lays one out."""

import numpy as np
import pytest
import soundfile

from edge_agent.bundle.archive import pack, unpack
from edge_agent.bundle.manifest import encode_manifest
from edge_agent.keyword.evaluation import EvaluationError, evaluate, score
from edge_agent.sources.wav import WavError
from tests.fixtures.bundles import LABELS, bundle_parts
from tests.fixtures.speech import make_recordings, utterance, wav_bytes

_MANIFEST, _FILES = bundle_parts()
BUNDLE = unpack(pack(encode_manifest(_MANIFEST), _FILES))


@pytest.fixture
def recordings(tmp_path):
    return make_recordings(tmp_path / "data", LABELS, clips=2)


def test_scores_add_up():
    scores = score(("a", "b", "c"), [0, 0, 0, 1], [0, 0, 1, 1])
    assert scores.accuracy == 0.75
    assert scores.counts == ((2, 1, 0), (0, 1, 0), (0, 0, 0))
    assert scores.per_label["a"].recall == pytest.approx(2 / 3)
    assert scores.per_label["a"].precision == 1.0
    assert scores.per_label["b"].precision == 0.5
    assert (scores.per_label["c"].recall, scores.per_label["c"].n) == (0.0, 0)
    with pytest.raises(ValueError, match="cannot be scored"):
        score(("a", "b"), [], [])


def test_a_folder_is_scored_by_its_sub_folders(recordings):
    found = evaluate(BUNDLE, recordings).as_json()
    assert set(found) == {"accuracy", "n", "per_label", "confusion"}
    assert (found["accuracy"], found["n"]) == (1.0, 10)
    assert found["confusion"]["labels"] == list(LABELS)
    assert found["confusion"]["counts"] == (2 * np.eye(5, dtype=int)).tolist()
    assert found["per_label"]["yes"] == {"recall": 1.0, "precision": 1.0, "n": 2}


def test_both_runtimes_score_alike(recordings):
    assert evaluate(BUNDLE, recordings, runtime="litert") == evaluate(
        BUNDLE, recordings, runtime="tflite_runtime"
    )


def test_folders_the_bundle_lacks_count_as_unknown(recordings):
    (recordings / "yes").rename(recordings / "sheila")
    found = evaluate(BUNDLE, recordings)
    assert found.per_label["_unknown_"].n == 4
    assert found.per_label["yes"].n == 0
    assert found.counts[1][2] == 2


def test_background_noise_hidden_things_and_other_files_are_left_out(recordings):
    (recordings / "_background_noise_").mkdir()
    for path in ("_background_noise_/hum.wav", "yes/.hidden.wav", "yes/notes.txt", "README.wav"):
        (recordings / path).write_bytes(b"no recording")
    assert evaluate(BUNDLE, recordings).n == 10


def test_any_rate_width_channels_and_length_are_taken(recordings):
    rate = 44_100
    clip = utterance("no", LABELS, seconds=2.5, rate=rate) / 32768
    path = recordings / "no" / "studio.WAV"
    soundfile.write(path, np.stack([clip, clip], axis=1), rate, subtype="FLOAT", format="WAV")
    found = evaluate(BUNDLE, recordings)
    assert (found.n, found.accuracy) == (11, 1.0)


def test_a_list_takes_its_lines_alone(recordings, tmp_path):
    (recordings / "_background_noise_").mkdir()
    noise = utterance("_unknown_", LABELS, seconds=3.0)
    (recordings / "_background_noise_" / "hum.wav").write_bytes(wav_bytes(noise))
    (recordings / "yes" / "00000002_nohash_0.wav").rename(recordings / "yes" / "a.wav.wav")
    chosen = tmp_path / "chosen.txt"
    chosen.write_text("yes/a.wav.wav\n\n_background_noise_/hum.wav\r\nno/00000003_nohash_1.wav\n")
    found = evaluate(BUNDLE, recordings, chosen)
    assert found.n == 3
    assert {label: s.n for label, s in found.per_label.items() if s.n} == {
        "_unknown_": 1,
        "yes": 1,
        "no": 1,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists nothing"),
        ("yes/none.wav\n", r"chosen.txt:1: .*none\.wav is missing"),
        ("\na.wav\n", "chosen.txt:2: 'a.wav' is not of the form"),
        ("../data/yes/a.wav\n", "not of the form"),
        ("/yes/a.wav\n", "not of the form"),
    ],
)
def test_a_list_that_is_wrong_is_named_with_its_line(recordings, tmp_path, text, message):
    chosen = tmp_path / "chosen.txt"
    chosen.write_text(text)
    with pytest.raises(EvaluationError, match=message):
        evaluate(BUNDLE, recordings, chosen)


def test_lists_that_cannot_be_read_are_named(recordings, tmp_path):
    with pytest.raises(EvaluationError, match=r"none\.txt: cannot be read"):
        evaluate(BUNDLE, recordings, tmp_path / "none.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EvaluationError, match=r"binary\.txt: is not a text file"):
        evaluate(BUNDLE, recordings, tmp_path / "binary.txt")


def test_folders_without_recordings_are_named(recordings, tmp_path):
    with pytest.raises(EvaluationError, match="none: is not a folder"):
        evaluate(BUNDLE, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvaluationError, match="empty: holds no recordings"):
        evaluate(BUNDLE, tmp_path / "empty")


@pytest.mark.parametrize("content", [b"", b"a text file called .wav"])
def test_a_recording_that_is_none_is_named(recordings, content):
    (recordings / "yes" / "bad.wav").write_bytes(content)
    with pytest.raises(WavError, match=r"bad\.wav"):
        evaluate(BUNDLE, recordings)


def test_real_recordings_are_all_readable(speech_commands, tmp_path):
    """The tones' model says nothing about speech; the path from list to score must hold."""
    lines = (speech_commands / "test.txt").read_text().split()[::20]
    chosen = tmp_path / "some.txt"
    chosen.write_text("\n".join(lines))
    assert evaluate(BUNDLE, speech_commands, chosen).n == len(lines)
