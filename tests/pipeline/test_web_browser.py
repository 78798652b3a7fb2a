"""The pages in a real browser, over real runs: a way through them, both colour schemes, a narrow screen."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from pipeline.lineage.store import LineageStore
from tests.fixtures.browser import PATIENCE_MS, chromium, complaints
from tests.fixtures.small_runs import make_runs
from tests.fixtures.web_server import serving

PAGES = ("/", "/runs/1", "/runs/3", "/executions/1", "/executions/4", "/metrics", "/artifacts",
         "/artifacts/2", "/cards", "/nothing")  # fmt: skip

# Text that is hard to read: its colour against the nearest background behind it, as WCAG 2 reckons.
POOR_CONTRAST = """() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => {
    const [r, g, b] = parse(c).map(v => v / 255).map(
      v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor, p = parse(c);
      if (p.length < 4 || p[3] > 0.99) return c;
    }
    return 'rgb(255, 255, 255)';
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !e.checkVisibility()) continue;
    const style = getComputedStyle(e);
    const ink = e.closest('svg') ? style.fill : style.color;
    const a = light(ink), b = light(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(walker.currentNode.data.trim() + ' ' + ratio.toFixed(2));
  }
  return poor;
}"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    make_runs(folder / "root", folder / "data")
    return folder / "root"


@pytest.fixture(scope="module")
def address(root) -> Iterator[str]:
    with serving(root) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser, address) -> Iterator[Page]:
    """A page without JavaScript, which fails the test if the browser had anything to complain of."""
    context = browser.new_context(base_url=address, java_script_enabled=False)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    said = complaints(page)
    yield page
    context.close()
    assert [text for text in said if "404" not in text] == []


def test_a_way_from_the_runs_to_the_recordings(page):
    page.goto("/")
    expect(page.get_by_role("row")).to_have_count(4)
    expect(page.get_by_role("row").nth(1)).to_contain_text("failed")
    page.get_by_role("link", name="Run 2").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("refused")
    expect(page.locator("section", has_text="Why it was refused")).to_contain_text("good is 0")
    graph = page.get_by_role("group", name="The steps of the run")
    assert graph.locator("a.box").count() == 5, "four steps and the recordings from outside"
    graph.locator("a", has_text="Second").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("hit")
    page.locator("p", has_text="A hit").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Second ✓ complete")
    expect(page.locator(".crumbs")).to_contain_text("Run 1")
    expect(page.get_by_label("Log", exact=True)).to_contain_text("this goes to the log")
    page.get_by_label("Inputs").get_by_role("link", name=re.compile("^Examples")).click()
    expect(page.get_by_role("group", name="The lineage of the artifact")).to_be_visible()
    page.get_by_label("Made from").get_by_role("link", name=re.compile("^Recordings")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Recordings")
    expect(page.locator("main")).to_contain_text("outside of the root")


def test_boxes_of_a_graph_lie_where_they_can_be_read(page):
    page.goto("/runs/1")
    boxes = [box.bounding_box() for box in page.locator("svg.graph rect:not(.stripe)").all()]
    assert len(boxes) == 6
    found = [box for box in boxes if box]
    for i, a in enumerate(found):
        for b in found[:i]:
            apart_x = a["x"] >= b["x"] + b["width"] or b["x"] >= a["x"] + a["width"]
            apart_y = a["y"] >= b["y"] + b["height"] or b["y"] >= a["y"] + a["height"]
            assert apart_x or apart_y
    for text, box in zip(page.locator("svg.graph .name").all(), found, strict=True):
        inside = text.bounding_box()
        assert inside
        assert inside["x"] + inside["width"] <= box["x"] + box["width"]


def test_forms_work_without_javascript(page):
    page.goto("/")
    page.get_by_label("State").select_option("refused")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("row")).to_have_count(2)
    page.goto("/metrics")
    page.get_by_text("Choose metrics").click()
    page.get_by_role("checkbox", name="First.files").check()
    page.get_by_role("checkbox", name="Second.files").uncheck()
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="First.files")).to_be_visible()
    expect(page.get_by_role("heading", name="Second.files")).to_have_count(0)
    page.locator("svg.plot a").last.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Run 3")


def test_a_failed_step_shows_the_end_of_its_log(page):
    page.goto("/runs/3")
    page.locator("section", has_text="Where it ended").get_by_role("link", name="Fail").click()
    expect(page.get_by_label("Log", exact=True)).to_contain_text("the last words")


def test_the_report_is_shown_and_runs_nothing(browser, address):
    page = browser.new_page(base_url=address)
    page.set_default_timeout(PATIENCE_MS)
    page.goto("/runs/2")
    page.get_by_role("link", name="report.html").click()
    expect(page.locator("p")).to_have_css("color", "rgb(1, 2, 3)")
    assert page.title() == "safe"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible_and_fit_a_narrow_screen(browser, address, scheme):
    context = browser.new_context(
        base_url=address, color_scheme=scheme, viewport={"width": 400, "height": 800}
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    for path in PAGES:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, path
        assert page.evaluate(POOR_CONTRAST) == [], path
        assert page.get_by_role("heading", level=1).count() == 1, path
        assert page.evaluate("[...document.querySelectorAll('table')].every(t => t.caption)"), path
        assert page.evaluate("[...document.querySelectorAll('th')].every(t => t.scope)"), path
        assert page.evaluate("[...document.querySelectorAll('svg')].every("
                             "s => s.ariaLabel || s.ariaHidden)"), path  # fmt: skip
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 19, 24)"
    assert dark == (scheme == "dark")
    context.close()


def test_a_run_that_goes_on_is_seen_to_end(page, root):
    store = LineageStore.at(root)
    run = store.begin_run("watched", {})
    page.goto(f"/runs/{run}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("running")
    store.end_run(run, "complete")
    store.close()
    expect(page.get_by_role("heading", level=1)).to_contain_text("complete", timeout=PATIENCE_MS)
