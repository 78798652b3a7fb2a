"""A device's clock that stands at 1970, jumps and goes back: what is heard is told all the same."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.bundles import LABELS, make_bundle
from tests.fixtures.daemons import daemon, write_config
from tests.fixtures.speech import utterance

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
TIMES = {
    "1970-01-01 00:00:05": 5,
    "2040-02-02 00:00:00": 2_211_753_600,
    "1969-12-31 23:00:00": -3600,
    "2026-01-01 00:00:00": 1_767_225_600,
}


@pytest.mark.skipif(LIBRARY is None, reason="there is no libfaketime here")
def test_words_are_told_by_whatever_the_clock_says(tmp_path):
    make_bundle(tmp_path / "words.bundle")
    clock = tmp_path / "clock"
    clock.write_text(next(iter(TIMES)))
    config = write_config(tmp_path, '[keyword]\nsource = "-"\nbundle = "words.bundle"\n', hang=5)
    said = np.concatenate([utterance(word, LABELS) for word in ("yes", "_silence_")]).tobytes()
    environment = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        # The kernel's own count of seconds does not jump.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "TZ": "UTC",
    }
    with daemon(config, stdin=subprocess.PIPE, **environment) as running:
        running.pid("keyword")
        for words, seconds in TIMES.items():
            aside = tmp_path / "aside"
            aside.write_text(words)
            os.replace(aside, clock)
            running.process.stdin.write(said)
            running.process.stdin.flush()
            found = running.wait("detection", "keyword", label="yes")
            assert 0 <= found["time"] - seconds < 20
        told = running.status()["workloads"]["keyword"]
        assert (told["state"], told["starts"]) == ("running", 1)
        running.process.stdin.close()
        assert running.over() == 0
