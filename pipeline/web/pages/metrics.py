"""Metrics over the runs of a recipe, a plot each."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from pipeline.web.line_plot import Point, draw_plot
from pipeline.web.queries.metrics import RunMetrics, chief_names, metric_names, metrics_of_runs
from pipeline.web.queries.runs import known_recipes
from pipeline.web.site import Site, number_asked, word_asked

_RUNS = 100
_MOST_PLOTS = 12


def metrics_page(site: Site, request: Request) -> Response:
    """The chosen metrics over the newest hundred runs of a recipe, or those before one."""
    recipe, before = word_asked(request, "recipe"), number_asked(request, "before")
    with site.store.session() as session:
        recipes = known_recipes(session)
        recipe = recipe or (recipes[0] if recipes else None)
        runs = [] if recipe is None else metrics_of_runs(session, recipe, before, _RUNS)
    names = metric_names(runs)
    asked = set(request.query_params.getlist("metric"))
    chosen = [name for name in names if name in asked] or chief_names(names)
    plots = [
        (name, draw_plot(name, _points(name, runs)), _points(name, runs))
        for name in chosen[:_MOST_PLOTS]
    ]
    return site.page(
        "metrics.html.j2",
        recipe=recipe,
        recipes=recipes,
        names=names,
        chosen=chosen,
        left_out=max(0, len(chosen) - _MOST_PLOTS),
        plots=plots,
        runs=runs,
        before=before,
        older=runs[0].id if len(runs) == _RUNS else None,
    )


def _points(name: str, runs: Sequence[RunMetrics]) -> list[Point]:
    return [Point(run=run.id, state=run.state, value=run.values.get(name)) for run in runs]
