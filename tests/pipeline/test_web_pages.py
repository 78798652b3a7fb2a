"""The pages over stores made of rows: what they say, how they are bounded, and that nothing breaks them."""

from __future__ import annotations

import datetime
import re
import sqlite3
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, create_engine, insert
from sqlalchemy.event import listen
from sqlalchemy.exc import DBAPIError
from starlette.testclient import TestClient

from components.base import UserError
from pipeline.lineage.schema import SCHEMA, VERSION_TABLE, Artifact, Context, Event, Execution
from pipeline.lineage.store import DATABASE, LineageStore
from pipeline.web.app import make_app
from pipeline.web.reading import ReadOnlyStore
from tests.fixtures.postgresql import new_database

NOON = datetime.datetime(2026, 11, 26, 12, 0)


def store_of(root: Path) -> ReadOnlyStore:
    return ReadOnlyStore(URL.create("sqlite", database=str(root / DATABASE)))


def client_of(root: Path) -> TestClient:
    return TestClient(
        make_app(root, store_of(root)), base_url="http://localhost", raise_server_exceptions=False
    )


def fill(root: Path, **tables: list[dict[str, object]]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    LineageStore.at(root).close()
    engine = create_engine(f"sqlite:///{root / 'lineage.db'}")
    kinds = {"runs": Context, "steps": Execution, "artifacts": Artifact, "events": Event}
    with engine.begin() as connection:
        for name, rows in tables.items():
            connection.execute(insert(kinds[name]), rows)
    engine.dispose()


def run_row(id_: int, state: str = "complete", recipe: str = "try") -> dict[str, object]:
    finished = None if state == "running" else NOON + datetime.timedelta(seconds=90)
    return {
        "id": id_,
        "recipe": recipe,
        "state": state,
        "started": NOON,
        "finished": finished,
        "environment": {"python": "3.11"},
    }


def step_row(id_: int, run: int, component: str = "Step", **others: object) -> dict[str, object]:
    return {
        "id": id_,
        "context_id": run,
        "component": component,
        "type": "Step",
        "state": "complete",
        "cache_key": "ab" * 32,
        "parameters": {},
        "metrics": {},
        "key_parts": {},
        "original_id": None,
        "started": NOON,
        "finished": NOON,
        **others,
    }


def artifact_row(id_: int, type_: str = "Model", uri: str = "/nowhere") -> dict[str, object]:
    return {"id": id_, "type": type_, "uri": uri, "digest": f"{id_:064x}", "created": NOON}


def event_row(id_: int, step: int, artifact: int, direction: str, name: str) -> dict[str, object]:
    return {
        "id": id_,
        "execution_id": step,
        "artifact_id": artifact,
        "direction": direction,
        "name": name,
    }


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Three runs: two that train on what the last had found, and one that goes on."""
    root = tmp_path_factory.mktemp("filled")
    fill(
        root,
        runs=[run_row(1), run_row(2, "refused"), run_row(3, "running", "other")],
        steps=[
            step_row(1, 1, "Gen"),
            step_row(2, 1, "Train", metrics={"int8_accuracy": 0.9}, parameters={"epochs": 4}),
            step_row(3, 2, "Train", metrics={"int8_accuracy": 0.5, "odd": float("nan")}),
            step_row(4, 3, "Gen", state="running", finished=None),
        ],
        artifacts=[
            artifact_row(1, "Recordings"),
            artifact_row(2, "Examples"),
            artifact_row(3),
            artifact_row(4),
            artifact_row(5, "Bundle"),
        ],
        events=[
            event_row(1, 1, 1, "input", "recordings"),
            event_row(2, 1, 2, "output", "examples"),
            event_row(3, 2, 2, "input", "examples"),
            event_row(4, 2, 3, "output", "model"),
            event_row(5, 3, 2, "input", "examples"),
            event_row(6, 3, 3, "input", "last_release"),
            event_row(7, 3, 4, "output", "model"),
        ],
    )
    return root


@pytest.fixture(scope="module")
def client(filled):
    with client_of(filled) as client:  # one event loop for all requests
        yield client


def test_runs_are_listed_with_their_state_and_figures(client):
    page = client.get("/").text
    assert page.index("Run 3") < page.index("Run 2") < page.index("Run 1")
    assert "✓ complete" in page
    assert "1 min 30 s" in page
    assert "int8 accuracy</span> 90.0%" in page


@pytest.mark.parametrize(
    ("query", "seen"),
    [("recipe=try", {1, 2}), ("state=refused", {2}), ("recipe=other&state=complete", set())],
)
def test_runs_are_filtered(client, query, seen):
    found = re.findall(r'href="/runs/(\d+)"', client.get(f"/?{query}").text)
    assert {int(id_) for id_ in found} == seen


def test_a_run_that_goes_on_is_loaded_anew_and_others_are_not(client):
    assert 'http-equiv="refresh"' in client.get("/").text
    assert 'http-equiv="refresh"' in client.get("/runs/3").text
    assert 'http-equiv="refresh"' not in client.get("/runs/1").text
    assert "so far" in client.get("/runs/3").text


def test_a_run_is_drawn_with_what_came_from_before_it(client):
    page = client.get("/runs/2").text
    graph = page[page.index("<svg") : page.index("</svg>")]
    assert 'href="/executions/3"' in graph
    assert 'href="/artifacts/2"' in graph
    assert 'href="/artifacts/3"' not in graph, "the last release is history"


def test_an_execution_shows_what_decided_it_and_what_it_took(client):
    page = client.get("/executions/2").text
    assert "epochs" in page
    assert 'href="/artifacts/2"' in page
    assert "ab" * 32 in page
    assert "(history)" in client.get("/executions/3").text


def test_lineage_leads_both_ways_past_history(client):
    def found(page: str, title: str) -> set[str]:
        part = page[page.index(f"<h2>{title}</h2>") :]
        return set(
            re.findall(r'<th scope="row"><a href="/artifacts/(\d+)"', part.split("</section>")[0])
        )

    assert found(client.get("/artifacts/4").text, "Made from") == {"1", "2"}
    assert found(client.get("/artifacts/1").text, "Went into") == {"2", "3", "4"}
    assert found(client.get("/artifacts/3").text, "Went into") == set()


def test_a_circle_in_the_lineage_ends(tmp_path):
    fill(
        tmp_path,
        runs=[run_row(1)],
        steps=[step_row(1, 1), step_row(2, 1)],
        artifacts=[artifact_row(1), artifact_row(2)],
        events=[
            event_row(1, 1, 1, "input", "a"),
            event_row(2, 1, 2, "output", "b"),
            event_row(3, 2, 2, "input", "a"),
            event_row(4, 2, 1, "output", "b"),
            event_row(5, 1, 2, "input", "c"),
        ],
    )
    client = client_of(tmp_path)
    for path in ("/artifacts/1", "/artifacts/2", "/runs/1"):
        assert client.get(path).status_code == 200


def test_lineage_without_end_is_shown_in_part(tmp_path):
    many = range(1, 400)
    fill(
        tmp_path,
        runs=[run_row(1)],
        steps=[step_row(i, 1) for i in many],
        artifacts=[artifact_row(i) for i in (*many, 400)],
        events=[event_row(2 * i, i, i, "input", "a") for i in many]
        + [event_row(2 * i + 1, i, i + 1, "output", "a") for i in many],
    )
    client = client_of(tmp_path)
    assert "There is more than these" in client.get("/artifacts/400").text
    assert "There is more than these" in client.get("/artifacts/1").text
    assert "There are more than these" in client.get("/runs/1").text


def test_metrics_of_chosen_names_are_drawn_over_runs(client):
    page = client.get("/metrics?recipe=try").text
    assert 'aria-label="Train.int8_accuracy over 2 runs' in page
    assert "dot refused" in page
    assert "No value that can be drawn" in client.get("/metrics?recipe=try&metric=Train.odd").text
    assert "There is no such run" in client.get("/metrics?recipe=nothing").text


def test_artifacts_are_filtered_by_type_and_digest(client):
    def found(query: str) -> set[str]:
        return set(
            re.findall(r'<th scope="row"><a href="/artifacts/(\d+)"', client.get(query).text)
        )

    assert found("/artifacts?type=Model") == {"3", "4"}
    assert found(f"/artifacts?digest={4:064x}") == {"4"}
    assert found("/artifacts?digest=0000") == {"1", "2", "3", "4", "5"}
    assert found("/artifacts?digest=ffff") == set()
    assert "removed" in client.get("/artifacts").text


def test_pages_of_a_list_lead_to_each_other_and_lose_nothing(tmp_path):
    fill(tmp_path, runs=[run_row(i) for i in range(1, 131)])
    client = client_of(tmp_path)
    seen: list[int] = []
    address: str | None = "/?state=complete"
    last = ""
    while address:
        last = client.get(address).text
        seen += [int(id_) for id_ in re.findall(r'row" class="keep"><a href="/runs/(\d+)"', last)]
        match = re.search(r'rel="next" href="([^"]+)"', last)
        address = "/" + match[1].replace("&amp;", "&") if match else None
    assert seen == list(range(130, 0, -1))
    match = re.search(r'rel="prev" href="([^"]+)"', last)
    assert match
    before = client.get("/" + match[1].replace("&amp;", "&")).text
    assert re.findall(r'row" class="keep"><a href="/runs/(\d+)"', before)[-1] == "31"


def test_a_root_without_a_run_says_how_to_make_one(tmp_path):
    fill(tmp_path)
    client = client_of(tmp_path)
    assert "python -m pipeline run" in client.get("/").text
    for path in ("/metrics", "/artifacts", "/cards"):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/runs/99", 404),
        ("/runs/0x1", 404),
        ("/runs/" + "9" * 5000, 404),
        ("/runs/3000000000", 404),
        ("/executions/-1", 404),
        ("/artifacts/99", 404),
        ("/artifacts/3/card", 404),
        ("/artifacts/5/card", 404),
        ("/runs/1/report", 404),
        ("/nothing", 404),
        ("/page.css/../../x", 404),
        ("/?before=x", 400),
        ("/?recipe=%00", 400),
        ("/?state=" + "x" * 500, 400),
        ("/artifacts?digest=xyz!", 400),
    ],
)
def test_what_is_not_there_is_said_on_a_page_of_its_own(client, path, status):
    answer = client.get(path)
    assert answer.status_code == status
    assert "To the runs" in answer.text


def test_nothing_can_be_changed(client, filled):
    before = (filled / "lineage.db").read_bytes()
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = client.request(method, "/runs/1")
        assert answer.status_code == 405
        assert "read only" in answer.text
    assert client.head("/runs/1").status_code == 200
    assert client.head("/runs/1").text == ""
    assert (filled / "lineage.db").read_bytes() == before
    # SQLite keeps its own account of who reads; nothing is in the log of what was written.
    left = {p.name: p.stat().st_size for p in filled.iterdir()}
    assert left.keys() <= {"lineage.db", "lineage.db-shm", "lineage.db-wal"}
    assert left.get("lineage.db-wal", 0) == 0


def test_the_database_itself_refuses_a_write(filled):
    store = store_of(filled)
    with store.session() as session:
        session.add(Context(**run_row(77)))
        with pytest.raises(Exception, match="readonly"):
            session.flush()
    store.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8080", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("10.1.2.3", 200),
        ("rebound.example", 421),
        ("localhost.rebound.example", 421),
        ("127.0.0.1.rebound.example:8080", 421),
        ("", 421),
        ("[", 421),
        ("a@localhost", 200),
    ],
)
def test_only_this_machine_s_names_are_answered(client, host, status):
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == status
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_every_answer_bars_scripts_frames_and_guesses_of_type(client):
    for path in ("/", "/runs/1", "/nothing", "/page.css", "/icon.svg"):
        headers = client.get(path).headers
        assert "script-src" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "<script" not in client.get(path).text
        assert " style=" not in client.get(path).text


def test_names_in_the_store_are_text_and_nothing_else(tmp_path):
    evil = '"><script>alert(1)</script>'
    fill(
        tmp_path,
        runs=[run_row(1, recipe=evil) | {"environment": {evil: evil}}],
        steps=[step_row(1, 1, evil, metrics={evil: 1.0}, parameters={evil: evil}, state=evil)],
        artifacts=[artifact_row(1, evil, evil) | {"digest": evil}],
        events=[event_row(1, 1, 1, "output", evil)],
    )
    client = client_of(tmp_path)
    for path in ("/", "/runs/1", "/executions/1", "/metrics", "/artifacts", "/artifacts/1"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "<script" not in answer.text


def test_the_store_never_leads_out_of_the_root(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.json").write_text('"the secret"')
    (outside / "gates.json").write_text("[]")
    root = tmp_path / "root"
    fill(
        root,
        runs=[run_row(1, recipe="../outside")],
        steps=[step_row(1, 1, "../../../../outside/secret")],
        artifacts=[artifact_row(1, uri=str(outside)), artifact_row(2, "Bundle", str(outside))],
        events=[event_row(1, 1, 1, "output", "model")],
    )
    (root / "inside").symlink_to(outside)
    client = client_of(root)
    for path in ("/runs/1", "/executions/1", "/artifacts/1", "/artifacts/2/card", "/runs/1/report"):
        assert "secret.json" not in client.get(path).text
        assert "the secret" not in client.get(path).text
    assert "outside of the root" in client.get("/artifacts/1").text


def test_a_store_that_goes_away_is_said_and_comes_back(tmp_path):
    fill(tmp_path, runs=[run_row(1)])
    client = client_of(tmp_path)
    (tmp_path / "lineage.db").rename(tmp_path / "away")
    answer = client.get("/")
    assert answer.status_code == 503
    assert "cannot be read just now" in answer.text
    (tmp_path / "away").rename(tmp_path / "lineage.db")
    assert client.get("/").status_code == 200


def test_a_store_that_is_being_written_is_read(tmp_path):
    fill(tmp_path, runs=[run_row(1)])
    writer = sqlite3.connect(tmp_path / "lineage.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE context SET state = 'refused'")
    assert "✓ complete" in client_of(tmp_path).get("/").text
    writer.execute("COMMIT")
    writer.close()
    assert "✗ refused" in client_of(tmp_path).get("/").text


@pytest.mark.parametrize(
    ("schema", "said"), [(SCHEMA + 1, "newer version"), (SCHEMA - 1, "the next run")]
)
def test_a_store_of_another_schema_is_refused_with_the_next_step(tmp_path, schema, said):
    fill(tmp_path)
    base = sqlite3.connect(tmp_path / "lineage.db")
    base.execute(f"UPDATE {VERSION_TABLE} SET version_num = ?", (str(schema),))
    base.commit()
    base.close()
    with pytest.raises(UserError, match=f"schema {schema}.*{said}"):
        store_of(tmp_path)


def test_a_hit_leads_to_what_was_taken_and_shows_its_key(tmp_path):
    parts = {"code": "cd" * 32, "inputs": {"examples": "ef" * 32}, "environment": {"numpy": "1.26"}}
    fill(
        tmp_path,
        runs=[run_row(1), run_row(2)],
        steps=[
            step_row(1, 1, "Gen", key_parts=parts),
            step_row(2, 2, "Gen", key_parts=parts, state="cached", original_id=1),
        ],
        artifacts=[artifact_row(1)],
        events=[event_row(1, 1, 1, "output", "model"), event_row(2, 2, 1, "output", "model")],
    )
    client = client_of(tmp_path)
    assert client.get("/runs/2").text.split("<dt>Hits</dt><dd>")[1].startswith("1<")
    assert "↺ hit" in client.get("/runs/2").text
    page = client.get("/executions/2").text
    assert 'href="/executions/1"' in page
    assert "cd" * 32 in page
    assert "ef" * 32 in page
    made = client.get("/artifacts/1").text
    assert made.index('href="/executions/2"') < made.index('href="/executions/1"')


@pytest.mark.parametrize(
    "content", [None, b"", b"no database at all, but long enough to be one" * 99]
)
def test_a_root_without_a_store_is_refused_with_the_next_step(tmp_path, content):
    if content is not None:
        (tmp_path / "lineage.db").write_bytes(content)
    with pytest.raises(UserError, match="lineage"):
        store_of(tmp_path)


def test_a_store_in_postgresql_is_read_and_never_written(tmp_path):
    with new_database() as url:
        recorded = LineageStore(url, root=str(tmp_path))
        run = recorded.begin_run("try", {})
        step = recorded.begin_execution(run, "Gen", "Gen", "ab", {}, {}, {})
        recorded.end_execution(step, {"int8_accuracy": 0.5}, {"model": ("Model", tmp_path, "cd")})
        recorded.end_run(run, "complete")
        recorded.close()
        store = ReadOnlyStore(url)
        client = TestClient(make_app(tmp_path, store), base_url="http://localhost")
        for path in (
            "/",
            "/runs/1",
            "/executions/1",
            "/metrics",
            "/artifacts",
            "/artifacts/1",
            "/cards",
        ):
            assert client.get(path).status_code == 200, path
        assert "50.0%" in client.get("/").text
        assert client.get("/artifacts?digest=abcd&type=Model&before=9").status_code == 200
        with store.session() as session, pytest.raises(DBAPIError, match="read-only"):
            session.execute(insert(Context), [run_row(77)])
        store.close()


PATHS = (
    "/",
    "/runs/{}",
    "/runs/{}/report",
    "/executions/{}",
    "/artifacts/{}",
    "/artifacts/{}/card",
)
LISTS = ("/", "/metrics", "/artifacts", "/cards", "/runs/1")
WORDS = (
    st.text(max_size=30) | st.integers(-5, 2**70).map(str) | st.sampled_from(["try", "Model", "3"])
)


@settings(max_examples=60)
@given(st.sampled_from(PATHS), WORDS)
def test_no_number_breaks_a_page(client, path, word):
    answer = client.get(path.format(quote(word, safe="")))
    assert answer.status_code in (200, 404)


@settings(max_examples=60)
@given(
    st.sampled_from(LISTS),
    st.lists(
        st.tuples(
            st.sampled_from(
                ["recipe", "state", "before", "after", "type", "digest", "metric", "x"]
            ),
            WORDS,
        ),
        max_size=4,
    ),
)
def test_no_query_breaks_a_page(client, path, query):
    asked = "&".join(f"{name}={quote(word, safe='')}" for name, word in query)
    assert client.get(f"{path}?{asked}").status_code in (200, 400)


def instructions(root: Path, path: str) -> int:
    """How many instructions SQLite runs for a page, in hundreds."""
    store = store_of(root)
    count = 0

    def more() -> int:
        nonlocal count
        count += 1
        return 0

    def watch(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_progress_handler(more, 100)

    listen(store._engine, "connect", watch)
    assert (
        TestClient(make_app(root, store), base_url="http://localhost").get(path).status_code == 200
    )
    return count


@pytest.fixture(scope="module")
def sizes(tmp_path_factory):
    """A store of 50 runs, and one of thirty times as many; each run makes and takes ten artifacts."""
    roots = []
    for runs in (50, 1500):
        root = tmp_path_factory.mktemp("size")
        every = range(1, 10 * runs + 1)
        fill(
            root,
            runs=[run_row(i) for i in range(1, runs + 1)],
            steps=[step_row(i, i, metrics={"int8_accuracy": 0.5}) for i in range(1, runs + 1)],
            artifacts=[artifact_row(i, f"T{i % 7}") for i in every],
            events=[
                event_row(i, 1 + (i - 1) // 10, i, "output" if i % 2 else "input", "a")
                for i in every
            ],
        )
        roots.append(root)
    return roots


@pytest.mark.parametrize(
    "path",
    [
        "/?before=40",
        "/runs/30",
        "/executions/30",
        "/artifacts",
        "/artifacts?before=300",
        "/artifacts?after=100",
        "/artifacts?type=T3&before=400",
        f"/artifacts?digest={123:064x}",
        "/artifacts/299",
        "/cards",
    ],
)
def test_a_page_of_a_large_store_costs_no_more_than_one_of_a_small(sizes, path):
    small, large = (instructions(root, path) for root in sizes)
    # The list of recipes reads all runs, a few instructions each; what else grows is a mistake.
    assert large <= 1.3 * small + 1450 * 12 / 100
