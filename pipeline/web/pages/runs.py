"""The list of runs, and the page of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from components.artifacts import Gate
from pipeline.lineage.walk import HISTORY
from pipeline.web.figures import state_text, took
from pipeline.web.graph_drawing import Box, draw_graph
from pipeline.web.outcomes import gates_in, report_of
from pipeline.web.queries.executions import MOST_STEPS, Link, Step, links_of, steps_of
from pipeline.web.queries.runs import STATES, find_run, known_recipes, list_runs
from pipeline.web.site import Site, number_in_path, window_asked, word_asked

# The report is one file with its style in it, and nobody vouches for its text: it runs nothing, loads
# nothing, and counts as of an origin of its own.
_REPORT_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_MOST_DRAWN = 150


def runs_page(site: Site, request: Request) -> Response:
    """All runs, newest first."""
    recipe, state = word_asked(request, "recipe"), word_asked(request, "state")
    with site.store.session() as session:
        page = list_runs(session, window_asked(request), recipe, state)
        recipes = known_recipes(session)
    return site.page(
        "runs.html.j2",
        refreshes=any(item.run.state == "running" for item in page.items),
        page=page,
        recipes=recipes,
        states=STATES,
        chosen={"recipe": recipe, "state": state},
    )


def run_page(site: Site, request: Request) -> Response:
    """One run: its steps as a graph and as a table, its gates."""
    id_ = number_in_path(request)
    with site.store.session() as session:
        run = find_run(session, id_)
        if run is None:
            raise HTTPException(404, f"There is no run {id_}.")
        steps = steps_of(session, id_)
        links = links_of(session, [step.id for step in steps])
    gates = _gates(site.root, links)
    return site.page(
        "run.html.j2",
        refreshes=run.state == "running",
        run=run,
        steps=steps,
        all_steps=len(steps) < MOST_STEPS,
        graph=_graph(steps, links) if 0 < len(steps) <= _MOST_DRAWN else None,
        gates=gates,
        not_passed=[gate for gate in gates if not gate.passed],
        broken=[step for step in steps if step.state in ("failed", "interrupted")],
        has_report=report_of(site.root, run.recipe, id_) is not None,
        longest=max([step.seconds or 0.0 for step in steps], default=0.0),
    )


def report_page(site: Site, request: Request) -> Response:
    """The report that a run left."""
    id_ = number_in_path(request)
    with site.store.session() as session:
        run = find_run(session, id_)
    path = None if run is None else report_of(site.root, run.recipe, id_)
    if path is None:
        raise HTTPException(404, f"Run {id_} has no report: only the last one of a recipe is kept.")
    headers = {"Content-Security-Policy": _REPORT_POLICY}
    return FileResponse(path, media_type="text/html; charset=utf-8", headers=headers)


def _graph(steps: Sequence[Step], links: Sequence[Link]) -> Markup:
    """Steps, and what they took from outside the run, in the order in which they began."""
    made = {link.artifact: link.execution for link in links if link.direction == "output"}
    boxes: dict[str, Box] = {}
    edges: set[tuple[str, str]] = set()
    by_step: dict[int, list[Link]] = {step.id: [] for step in steps}
    for link in links:
        if link.direction == "input" and link.name not in HISTORY:
            by_step[link.execution].append(link)
    for step in steps:
        key = f"step {step.id}"
        for link in by_step[step.id]:
            maker = made.get(link.artifact)
            source = f"step {maker}" if maker is not None else f"artifact {link.artifact}"
            if maker is None:
                boxes.setdefault(source, _outside(source, link))
            if source in boxes:  # one that began later is history too, whatever its name
                edges.add((source, key))
        boxes[key] = Box(
            key=key,
            name=step.component,
            note=f"{state_text(step.state)} · {took(step)}",
            look=step.state,
            link=f"/executions/{step.id}",
        )
    return draw_graph("The steps of the run", list(boxes.values()), edges)


def _outside(key: str, link: Link) -> Box:
    return Box(
        key=key,
        name=link.type,
        note=f"from before · {link.digest[:10]}",
        look="outside",
        link=f"/artifacts/{link.artifact}",
    )


def _gates(root: Path, links: Sequence[Link]) -> list[Gate]:
    """The gates that the steps decided."""
    outputs = {link.artifact: link.uri for link in links if link.direction == "output"}
    return [gate for uri in outputs.values() for gate in gates_in(root, uri)]
