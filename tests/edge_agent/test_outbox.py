"""What waits to be delivered: over kills, damage, full disks and a bounded size."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import edge_agent
from edge_agent.sinks.outbox import Outbox

TOP = Path(edge_agent.__file__).parents[1]


def topics(outbox: Outbox) -> list[str]:
    return [waiting.topic for waiting in outbox.after(0, 1000)]


def test_what_was_taken_stays_in_order_until_it_is_done(tmp_path):
    outbox = Outbox(tmp_path / "box", 10_000)
    for name in "abc":
        outbox.put(name, b"x")
    first, second = outbox.after(0, 2)
    assert (first.topic, second.topic, first.payload) == ("a", "b", b"x")
    outbox.done(second.number)
    outbox.done(second.number)
    outbox.close()
    outbox = Outbox(tmp_path / "box", 10_000)
    assert (topics(outbox), outbox.waiting) == (["a", "c"], 2)
    assert [w.topic for w in outbox.after(first.number, 9)] == ["c"]


def test_the_oldest_goes_beyond_the_limit(tmp_path):
    outbox = Outbox(tmp_path / "box", 1000)
    for number in range(50):
        outbox.put(str(number), bytes(100))
    assert topics(outbox) == [str(n) for n in range(40, 50)]
    assert (outbox.dropped, outbox.waiting) == (40, 10)
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < 250_000
    outbox.close()
    outbox = Outbox(tmp_path / "box", 1000)
    outbox.put("last", bytes(100))
    assert topics(outbox)[-1] == "last"
    assert outbox.waiting == 10


def test_it_outlives_kill_9(tmp_path):
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from edge_agent.sinks.outbox import Outbox\n"
        "outbox = Outbox(Path(sys.argv[1]), 10_000)\n"
        "for n in range(20): outbox.put(str(n), b'x')\n"
        "outbox.done(1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "box"], cwd=TOP, check=False)
    assert done.returncode == -signal.SIGKILL
    assert topics(Outbox(tmp_path / "box", 10_000)) == [str(n) for n in range(1, 20)]


def test_a_damaged_file_is_put_aside(tmp_path):
    (tmp_path / "box").write_bytes(os.urandom(8192))
    outbox = Outbox(tmp_path / "box", 1000)
    outbox.put("a", b"x")
    outbox.put("b", b"x")
    assert topics(outbox)[-1] == "b"
    assert (tmp_path / "box.damaged").stat().st_size == 8192


def test_a_full_disk_loses_events_and_nothing_else(tmp_path):
    outbox = Outbox(tmp_path / "box", 10**6)
    outbox.put("a", b"x")
    with sqlite3.connect(tmp_path / "box") as other:
        pages = other.execute("PRAGMA page_count").fetchone()[0]
    outbox._database.execute(f"PRAGMA max_page_count={pages}")  # as the system would refuse
    outbox.put("large", bytes(100_000))
    assert (outbox.dropped, topics(outbox)) == (1, ["a"])
    outbox._database.execute("PRAGMA max_page_count=100000")
    outbox.put("b", b"x")
    assert topics(outbox) == ["a", "b"]


def test_a_folder_that_cannot_be_written_loses_events_and_nothing_else(tmp_path):
    outbox = Outbox(tmp_path / "none" / "box", 1000)
    outbox.put("a", b"x")
    assert (outbox.dropped, outbox.after(0, 9), outbox.waiting) == (1, [], 0)
    (tmp_path / "none").mkdir()
    outbox.put("b", b"x")
    assert topics(outbox) == ["b"]
