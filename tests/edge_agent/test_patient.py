"""Streams that wait: pipes, FIFOs, logs that grow, and the lines in them."""

import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.sources.json_rows import JsonRows
from edge_agent.sources.patient import (
    LineStream,
    Patience,
    PipeBytes,
    SourceError,
    TailBytes,
    open_bytes,
)
from edge_agent.sources.table import TableError, is_header
from edge_agent.workloads.job import Job
from edge_agent.workloads.row_source import RowSource


def test_a_reader_that_waits_is_heard_and_can_be_stopped():
    reader, writer = os.pipe()
    patience, heard = Patience(gap_after_s=0.3), []
    patience.on_wait(heard.append)
    stream = PipeBytes(reader, patience)
    threading.Timer(0.8, patience.stop).start()
    os.write(writer, b"ab")
    assert stream.read(10) == b"ab"
    assert stream.read(10) == b""
    assert heard[0] is False
    assert heard[-1] is True, "broken off for longer than 0.3 s"
    assert not stream.over
    os.close(writer)
    assert PipeBytes(reader, Patience()).read(10) == b""


def test_gaps_are_counted_where_bytes_came_before():
    reader, writer = os.pipe()
    patience = Patience(gap_after_s=0.1)
    stream = PipeBytes(reader, patience)
    for delay in (0.2, 0.0, 0.2):
        threading.Timer(delay, os.write, (writer, b"x")).start()
        stream.read(1)
    assert patience.gaps == 1
    assert 0.1 <= patience.gap_s < 5


def test_a_fifo_outlives_its_writers(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    stream = open_bytes(str(tmp_path / "fifo"), Patience())
    for said in (b"one", b"two"):
        with (tmp_path / "fifo").open("wb") as writer:
            writer.write(said)
        assert stream.read(10) == said


def test_a_source_that_is_not_there_says_so(tmp_path):
    with pytest.raises(SourceError, match="check the source in"):
        open_bytes(str(tmp_path / "none"), Patience())


def tailed(path, **place):
    patience = Patience()
    return TailBytes(path, patience, **place), patience


def test_a_log_is_followed_over_rotation_and_truncation(tmp_path):
    path = tmp_path / "log"
    tail, _ = tailed(path)
    threading.Timer(0.1, path.write_bytes, (b"one\n",)).start()
    assert tail.read(100) == b"one\n"
    os.replace(path, tmp_path / "log.1")
    path.write_bytes(b"two\n")
    assert tail.read(100) == b"two\n"
    path.write_bytes(b"3\n")
    assert tail.read(100) == b"3\n"
    with path.open("ab") as file:
        file.write(b"four\n")
    assert tail.read(100) == b"four\n"
    assert (tail.inode, tail.offset) == (path.stat().st_ino, 7)


@given(
    st.lists(st.sampled_from([b"a,b\n", b"1,2\n", b"3", b"\n", b"4,", b"5\n"]), max_size=12),
    st.integers(1, 5),
)
def test_lines_come_whole_however_the_stream_is_cut(pieces, size):
    reader, writer = os.pipe()
    os.write(writer, b"".join(pieces))
    os.close(writer)
    stream = LineStream(PipeBytes(reader, Patience()))
    got = []
    while data := stream.read(size):
        got.append(data)
    os.close(reader)
    assert b"".join(got) == b"".join(pieces)
    assert all(data.endswith(b"\n") for data in got[:-1])
    assert stream.rest == b""


def rows_of(source, place, patience, rows=1):
    """The rows of the next blocks, until there are `rows`; and the place after them."""
    opened = RowSource(Job(bundle="", source=str(source), place=place), patience)
    blocks, found = opened.blocks(["flow", "heat"]), []
    while len(found) < rows:
        found += next(blocks).rows.tolist()
    return found, opened.place()


def test_the_next_process_goes_on_in_the_log_where_the_last_was(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("time,flow,heat\n0,1,2\n")
    patience = Patience()
    # What was there before is not watched; a row whose end is not written yet is none.
    opened = RowSource(Job(bundle="", source=str(path)), patience)
    with path.open("a") as file:
        file.write("1,3,4\n2,5,")
    blocks = opened.blocks(["flow", "heat"])
    assert next(blocks).rows.tolist() == [[3, 4]]
    place = opened.place()
    with path.open("a") as file:
        file.write("66\n")
    assert rows_of(path, place, Patience())[0] == [[5, 66]]
    os.replace(path, tmp_path / "old")
    path.write_text("time,flow,heat\n9,7,8\n")
    assert rows_of(path, place, Patience())[0] == [[7, 8]], "the header of the new one is none"


def test_a_log_goes_on_with_the_columns_of_the_file_that_took_its_place(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("sep=;\r\ntime;flow;heat\r\n0;1;2\r\n")
    opened = RowSource(Job(bundle="", source=str(path)), Patience())
    with path.open("a") as file:
        file.write("1;3;4\n")
    blocks = opened.blocks(["flow", "heat"])
    assert next(blocks).rows.tolist() == [[3, 4]]
    os.replace(path, tmp_path / "old")
    path.write_text("time;heat;flow\n2;6;5\n")
    assert next(blocks).rows.tolist() == [[5, 6]]


def test_a_log_of_ten_thousand_columns_is_watched(tmp_path):
    path = tmp_path / "log.csv"
    more = ",".join(f"sensor_{n}" for n in range(10_000))
    row = ",".join(["1.25"] * 20_000)
    path.write_text(f"time,flow,heat,{more}\n0,1,2,{row}\n1,3,")
    opened = RowSource(Job(bundle="", source=str(path)), Patience())
    with path.open("a") as file:
        file.write(f"4,{row}\n")
    assert next(opened.blocks(["flow", "heat"])).rows.tolist() == [[3, 4]]


def test_what_is_too_long_to_be_told_is_left_out_after_a_crash():
    reader, writer = os.pipe()
    head = "time,flow,heat\n"
    os.write(writer, f"{head}1,2,3\n2,4,5,{'9' * 30_000}".encode())
    stream = LineStream(PipeBytes(reader, Patience()))
    assert stream.read(60_000) == f"{head}1,2,3\n".encode()
    os.write(writer, b"9,6\n3,6,7\n4,8")
    after = LineStream(PipeBytes(reader, Patience()), head=head.encode(), torn=True)
    assert after.read(60_000) == head.encode()
    assert after.read(60_000) == b"3,6,7\n"
    assert (after.torn, after.rest) == (False, b"4,8")
    for descriptor in (reader, writer):
        os.close(descriptor)


def test_a_line_that_never_ends_is_told_of_and_the_next_one_is_a_line():
    reader, writer = os.pipe()
    stream = LineStream(PipeBytes(reader, Patience()), rest=b"9" * (1 << 20))
    os.write(writer, b"99,8\n1,2\n")
    os.close(writer)
    assert len(stream.read(3)) > 1 << 20
    assert (stream.torn, stream.read(100)) == (True, b"1,2\n")
    os.close(reader)


@pytest.mark.parametrize("before", [b"", b"sep=;\n"])
def test_the_next_process_is_told_the_header_of_a_pipe(tmp_path, before):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    keeper = os.open(fifo, os.O_RDWR)
    os.write(keeper, before + b"heat;flow\n1;2\n3;")
    found, place = rows_of(fifo, {}, Patience())
    assert found == [[2, 1]]
    os.write(keeper, b"4\n")
    assert rows_of(fifo, place, Patience())[0] == [[4, 3]]
    os.close(keeper)


class Once:
    """A stream of these bytes."""

    def __init__(self, data):
        self.data = data

    def read(self, count):
        data, self.data = self.data[:count], self.data[count:]
        return data


def test_rows_from_lines_of_json():
    lines = b'{"TIME": "2026-01-01T00:00:10", "Flow": 1.5, "x": {}}\nno\n[1]\n{"flow": "2", "heat": true}\n'
    source = JsonRows(Once(lines + b'{"heat": NaN, "flow": 7}\n'), "log", ["flow", "heat"])
    (block,) = source.blocks()
    assert block.times[0] == "2026-01-01T00:00:10"
    assert block.times[1:] == [1, 2]
    assert block.seconds[0] == 1767225610.0
    np.testing.assert_array_equal(block.rows, [[1.5, np.nan], [np.nan, np.nan], [7, np.nan]])
    assert source.unreadable == 2
    with pytest.raises(TableError, match="none of the keys"):
        list(JsonRows(Once(b'{"a": 1}\n'), "log", ["flow"]).blocks())


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_are_rows_of_json_or_refused(lines):
    source = JsonRows(Once(b"\n".join(lines)), "log", ["flow"])
    try:
        for block in source.blocks():
            assert block.rows.shape == (len(block.times), 1)
    except TableError:
        pass


@pytest.mark.parametrize(
    ("line", "header"),
    [
        ("time,flow", True),
        ("1,2.5", False),
        ("2026-01-01T00:00:00;1,5", False),
        ('{"a": 1}', False),
        ("", False),
        ("flow", True),
    ],
)
def test_a_header_is_told_from_a_row(line, header):
    assert is_header(line) == header
