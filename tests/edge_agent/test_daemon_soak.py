"""A day of sound through the daemon, as fast as it goes: nothing grows, and no window is missed."""

import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from edge_agent.bundle.archive import pack
from edge_agent.bundle.manifest import encode_manifest
from tests.fixtures.bundles import LABELS, bundle_parts
from tests.fixtures.daemons import daemon, write_config
from tests.fixtures.speech import RATE, utterance
from tests.fixtures.streaming_bundles import streaming_parts

pytestmark = pytest.mark.soak

HOURS = 24
# One word a minute, and quiet.
MINUTE = np.concatenate(
    [utterance("yes", LABELS), *(utterance("_silence_", LABELS, seed=n) for n in range(59))]
)


def held(pid: int) -> tuple[int, int, int]:
    """Resident bytes, open descriptors and threads of a process."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return int(status["VmRSS"].split()[0]) * 1024, descriptors, int(status["Threads"])


@pytest.mark.parametrize("parts", [bundle_parts, streaming_parts])
def test_a_day_of_sound_leaves_nothing_behind(tmp_path, parts):
    manifest, files = parts()
    (tmp_path / "words.bundle").write_bytes(pack(encode_manifest(manifest), files))
    config = write_config(tmp_path, '[keyword]\nsource = "-"\nbundle = "words.bundle"\n', hang=60)
    with daemon(config, stdin=subprocess.PIPE) as running:
        pids = (running.process.pid, running.pid("keyword"))

        def play(minutes: int) -> None:
            def write() -> None:
                for _ in range(minutes):
                    running.process.stdin.write(MINUTE.tobytes())
                running.process.stdin.flush()

            writer = threading.Thread(target=write)
            writer.start()
            for _ in range(minutes):
                running.wait("detection", "keyword", label="yes")
                running.events.clear()
            writer.join()

        play(60)
        first = [held(pid) for pid in pids]
        play(60 * (HOURS - 1))
        last = [held(pid) for pid in pids]
        seconds = HOURS * 3600
        told = running.until(lambda s: s["workloads"]["keyword"]["input_s"] == seconds)
        running.process.stdin.close()
        assert running.over() == 0
    print("resident bytes, descriptors, threads after an hour and a day:", first, last)
    for (rss, *before), (later, *after) in zip(first, last, strict=True):
        assert later - rss < 2**20
        assert after == before
    # Frames of 30 ms, each 20 ms, from half a window before the sound on; a window of 49 each three.
    frames = (seconds * RATE + 24 * 320 - 480) // 320 + 1
    assert told["workloads"]["keyword"]["inferences"] == (frames - 49) // 3 + 1
    assert told["workloads"]["keyword"]["triggers"] == HOURS * 60
