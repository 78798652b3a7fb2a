"""The page of one execution."""

from __future__ import annotations

import json

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pipeline.lineage.walk import HISTORY
from pipeline.web.outcomes import gates_in, log_of
from pipeline.web.queries.artifacts import first_makers
from pipeline.web.queries.executions import decided_by, find_step, links_of
from pipeline.web.queries.runs import find_run
from pipeline.web.site import Site, number_in_path

_LONGEST_VALUE = 2000


def execution_page(site: Site, request: Request) -> Response:
    """One execution: what decided it, what it took and made, how it went."""
    id_ = number_in_path(request)
    with site.store.session() as session:
        step = find_step(session, id_)
        run = None if step is None else find_run(session, step.run)
        if step is None or run is None:
            raise HTTPException(404, f"There is no execution {id_}.")
        parameters, parts = decided_by(session, id_)
        links = links_of(session, [id_])
        makers = first_makers(session, [link.artifact for link in links])
    outputs = [link for link in links if link.direction == "output"]
    return site.page(
        "execution.html.j2",
        refreshes=step.state == "running" and run.state == "running",
        step=step,
        run=run,
        parameters=[(name, shown(value)) for name, value in sorted(parameters.items())],
        code=shown(parts.get("code", "")),
        key_parts=[(name, shown(value)) for name, value in sorted(parts.items()) if name != "code"],
        inputs=[link for link in links if link.direction == "input"],
        outputs=outputs,
        makers=makers,
        history=HISTORY,
        gates=[gate for link in outputs for gate in gates_in(site.root, link.uri)],
        log=log_of(site.root, run.recipe, run.id, step.component),
    )


def shown(value: object) -> str:
    """A parameter's value as JSON, in part where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + " …"
