"""Reading files for the pages: below the root alone, bounded, as clean text; model cards without HTML."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.web.files import LOG_BYTES, MOST_ENTRIES, beginning, below, end, entries, printable
from pipeline.web.model_cards import to_html
from pipeline.web.outcomes import gates_in, report_of


def test_only_what_lies_below_the_root_is_found(tmp_path):
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "round").symlink_to(root / "round")
    assert below(root, root / "in") == root / "in"
    for path in ("link", "../secret", "in/../../secret", "nowhere", "round", "a\0b", "x" * 5000):
        assert below(root, root / path) is None, path


def test_the_end_of_a_long_log_begins_with_a_whole_line(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {i}\n" for i in range(10_000)))
    excerpt = end(log)
    assert excerpt is not None
    assert excerpt.text.startswith("line ")
    assert excerpt.text.endswith("line 9999\n")
    assert excerpt.shown <= LOG_BYTES
    assert not excerpt.whole
    assert excerpt.total == log.stat().st_size


def test_a_short_file_is_whole(tmp_path):
    (tmp_path / "log").write_bytes(b"one\r\n\x1b[31mtwo\x1b[0m\rthree\x00\xff")
    for excerpt in (end(tmp_path / "log"), beginning(tmp_path / "log")):
        assert excerpt is not None
        assert excerpt.text == "one\ntwo\nthree\ufffd\ufffd"
        assert excerpt.whole


def test_what_is_no_regular_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in ("pipe", "link", "nowhere", "."):
        assert end(tmp_path / name) is None
        assert beginning(tmp_path / name) is None


def test_a_folder_is_listed_in_part(tmp_path):
    for i in range(MOST_ENTRIES + 5):
        (tmp_path / f"{i:04d}").write_text("x" * i)
    found, more = entries(tmp_path)
    assert len(found) == MOST_ENTRIES
    assert more
    assert entries(tmp_path / "nowhere") == ([], False)


def test_a_name_that_is_no_text_can_still_be_shown(tmp_path):
    (tmp_path / os.fsdecode(b"\xff\x1b[2Jname")).mkdir()
    ((entry,), more) = entries(tmp_path)
    assert entry.name.encode()
    assert "\x1b" not in entry.name
    assert entry.bytes is None
    assert not more


@settings(max_examples=50)
@given(st.text(max_size=20))
def test_any_text_becomes_printable(text):
    clean = printable(text)
    clean.encode()
    assert all(c in "\n\t" or ord(c) >= 32 for c in clean)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[1]",
        b'[{"name": "a"}]',
        b'[{"name": "a", "value": "x", "limit": 1, "passed": true}]',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_gates_that_cannot_be_read_are_none(tmp_path, content):
    (tmp_path / "gates.json").write_bytes(content)
    assert gates_in(tmp_path, str(tmp_path)) == []


def test_a_report_belongs_to_the_run_that_it_names(tmp_path):
    folder = tmp_path / "recipe"
    folder.mkdir()
    (folder / "report.html").write_text("page")
    assert report_of(tmp_path, "recipe", 1) is None
    (folder / "report.json").write_text('{"run": 2}')
    assert report_of(tmp_path, "recipe", 1) is None
    assert report_of(tmp_path, "recipe", 2) == folder / "report.html"
    assert report_of(tmp_path, "../recipe", 2) is None


def test_markdown_becomes_html_without_the_html_in_it():
    html = to_html(
        "# Card\n\n<script>alert(1)</script> <b onclick=x>y</b>\n\n![p](http://elsewhere/p.png)\n"
        "[bad](javascript:alert(1)) [good](https://example.org)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    assert "<h2>Card</h2>" in html
    assert "<td>1</td>" in html
    assert '<a href="https://example.org">good</a>' in html
    assert "<script" not in html
    assert "<b " not in html
    assert "<img" not in html
    assert "javascript:alert(1)</" not in html
    assert 'href="javascript' not in html


@settings(max_examples=80)
@given(st.text(alphabet="#*_`[]()<>!|-\n ahref:javscript\"'&", max_size=80))
def test_no_markdown_makes_an_element_that_does_something(text):
    html = to_html(text)
    for bad in ("<script", "<img", "<iframe", "<svg", 'href="javascript', "<style"):
        assert bad not in html
