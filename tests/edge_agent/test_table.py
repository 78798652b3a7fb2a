"""Tables of rows: any of the usual forms, a block at a time, and nothing in them is fatal."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edge_agent.sources.table as table_module
from edge_agent.sources.table import Table, TableError, seconds_of

CHANNELS = ("flow", "heat")


def read(text: str | bytes, channels=CHANNELS):
    data = text.encode() if isinstance(text, str) else text
    table = Table(io.BytesIO(data), "x.csv", channels)
    blocks = list(table.blocks())
    times = [time for block in blocks for time in block.times]
    rows = np.concatenate([block.rows for block in blocks]) if blocks else np.zeros((0, 2))
    return table, times, rows.tolist()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_delimiter_and_the_time_are_found_and_other_columns_ignored(delimiter, end):
    lines = ["label,datetime,heat,note,flow", "0,2026-01-01 00:00:00,1.5,a,2", "1,x,-1e3,b,4"]
    text = end.join(line.replace(",", delimiter) for line in lines) + end
    table, times, rows = read(text)
    assert table.time_column == "datetime"
    assert table.ignored == ["label", "note"]
    assert table.absent == []
    assert times == ["2026-01-01 00:00:00", "x"]
    assert rows == [[2, 1.5], [4, -1000]]


def test_the_time_is_found_by_what_stands_in_it_and_may_be_absent():
    table, times, _ = read("id,when,flow,heat\n7,2026-01-01T00:00:00Z,1,2\n")
    assert (table.time_column, times) == ("when", ["2026-01-01T00:00:00Z"])
    table, times, _ = read("flow,heat\n1,2\n3,4\n")
    assert (table.time_column, times) == (None, [0, 1])


def test_names_match_whatever_their_case_and_the_byte_order_mark_is_no_part_of_them():
    assert read("\ufeffFLOW, Heat \n1,2\n".encode())[2] == [[1, 2]]


@pytest.mark.parametrize("line", ["sep=;\n", "\ufeffSEP=;\r\n"])
def test_what_tells_a_spreadsheet_the_delimiter_is_no_header(line):
    assert read(f"{line}time;flow;heat\n1;1,5;2\n".encode())[2] == [[1.5, 2]]


def test_a_header_that_comes_again_holds_for_the_rows_after_it_and_is_no_row():
    text = "time,flow,heat\n1,2,3\ntime,flow,heat\n2,4,5\nheat;flow;x;time\n9;8;7;3\nheat;flow;x;time\n"
    table, times, rows = read(text.replace(";", ","))
    assert times == ["1", "2", "3"]
    np.testing.assert_array_equal(rows, [[2, 3], [4, 5], [8, 9]])
    assert table.ignored == ["x"]


def test_ten_thousand_tables_behind_each_other_are_read_line_by_line(monkeypatch):
    lines = [line for n in range(5000) for line in ("flow,heat", f"{n},1", "heat,flow", f"2,{n}")]
    looked_at = []
    cells = table_module._cells
    monkeypatch.setattr(
        table_module, "_cells", lambda lines, by: looked_at.append(len(lines)) or cells(lines, by)
    )
    _, times, rows = read("\n".join(lines))
    assert times == list(range(10_000))
    assert rows == [row for n in range(5000) for row in ([n, 1], [n, 2])]
    assert sum(looked_at) < 20 * len(lines)


def test_a_table_that_begins_in_its_middle_goes_by_the_header_that_follows():
    _, times, rows = read("1,2,3\ntime,heat,flow\n2,5,4\n")
    assert times == ["1", "2"]
    np.testing.assert_array_equal(rows, [[2, 3], [4, 5]])


def test_what_is_no_number_is_missing_and_each_line_stays_a_row():
    text = 'time,flow,heat\n1,NaN,inf\n2,,abc\n3,1\n4,"5","6"\n5,"7,8\n6,9,10,11\n\n7,1,2'
    _, times, rows = read(text)
    assert times == ["1", "2", "3", "4", "5", "6", "7"]
    expected = [[np.nan, np.inf], [np.nan] * 2, [1, np.nan], [5, 6], [np.nan] * 2, [9, 10], [1, 2]]
    np.testing.assert_array_equal(rows, expected)


def test_a_decimal_comma_is_read_where_it_is_no_delimiter():
    assert read("time;flow;heat\n1;1,5;-2,25\n")[2] == [[1.5, -2.25]]


def test_a_channel_without_a_column_is_missing_and_named():
    table, _, rows = read("time,flow\n1,2\n")
    assert table.absent == ["heat"]
    np.testing.assert_array_equal(rows, [[2, np.nan]])


def test_a_table_without_header_is_read_by_its_order():
    assert read("1,2\n3,4\n")[2] == [[1, 2], [3, 4]]
    _, times, rows = read("2026-01-01,1,2\n2026-01-02,3,4\n")
    assert (times, rows) == (["2026-01-01", "2026-01-02"], [[1, 2], [3, 4]])


def test_a_table_of_its_header_alone_has_no_rows():
    assert read("time,flow,heat")[2] == []


@pytest.mark.parametrize("text", ["", "\n\n", "a,b,c\n1,2,3\n", "1,2,3,4\n", "\0\0\n"])
def test_a_table_that_is_none_is_refused(text):
    with pytest.raises(TableError, match=r"x\.csv"):
        read(text)


def test_a_line_without_end_is_refused_before_it_fills_the_memory():
    class Endless(io.RawIOBase):
        given = 0

        def read1(self, count):
            self.given += count
            return b"1," * (count // 2)

    stream = Endless()
    with pytest.raises(TableError, match="a line is longer"):
        Table(stream, "x.csv", CHANNELS)
    assert stream.given < 4 << 20


def test_rows_are_given_as_soon_as_they_are_there():
    class Pipe(io.RawIOBase):
        pieces = [b"time,flow,heat\n1,2,", b"3\n", b"2,3,4\n3,", b"4,5"]

        def read1(self, count):
            return self.pieces.pop(0) if self.pieces else b""

    pipe = Pipe()
    blocks = Table(pipe, "x.csv", CHANNELS).blocks()
    assert next(blocks).times == ["1"]
    assert len(pipe.pieces) == 2
    assert [block.times for block in blocks] == [["2"], ["3"]]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01 00:01:00", 60),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-02", 86400),
        ("12.5", 12.5),
        ("nan", np.nan),
        ("soon", np.nan),
        ("", np.nan),
    ],
)
def test_times_are_seconds(text, seconds):
    np.testing.assert_equal(seconds_of(text), seconds)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_read_or_refused(data, headed):
    try:
        _, times, rows = read(b"time,flow,heat\n" * headed + data)
    except TableError:
        return
    assert len(times) == len(rows)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_spreadsheet_s_utf_16_is_named(encoding):
    text = "\ufeff" * (encoding == "utf-16-be") + "time,flow\n1,2\n"
    with pytest.raises(TableError, match="is UTF-16: save it as UTF-8"):
        read(text.encode(encoding))
