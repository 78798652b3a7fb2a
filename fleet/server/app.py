"""The ASGI application: polls on their own short way, all else through Starlette; errors as problems."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fleet.repository.errors import ReleaseError
from fleet.rollout.errors import (
    ActionClosedError,
    ActionUnknownError,
    PlanError,
    RolloutError,
)
from fleet.server import ddi, management, poll, repository_files
from fleet.server.access import identify
from fleet.server.dashboard import pages
from fleet.server.fleet_state import FleetState
from fleet.server.openapi import describe
from fleet.server.operations import OPERATOR, DescribedRoute, Operation, operations
from fleet.server.problems import Problem, unreachable
from fleet.server.schemas import TEXT, thing
from fleet.store.errors import ConflictError, NotFoundError, StoreError

_log = logging.getLogger("fleet")
_STATUS = thing(status=TEXT)
_LIVE = Operation(method="GET", path="/health/live", summary="it runs", answer=_STATUS)
_READY = Operation(method="GET", path="/health/ready", summary="it can answer", answer=_STATUS)
_METRICS = Operation(
    method="GET", path="/metrics", summary="what this process counted, for Prometheus",
    credential=OPERATOR, role="viewer", media_type="text/plain",
)  # fmt: skip


def make_app(state: FleetState) -> ASGIApp:
    """The application of one server process."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await state.begin()
        yield
        await state.end()

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_request: Request) -> Response:
        if state.draining:
            raise Problem(503, "draining", {"Retry-After": "5"})
        await state.read(lambda c: c.exec_driver_sql("SELECT 1").scalar())
        return JSONResponse({"status": "ready"})

    async def metrics(request: Request) -> Response:
        await identify(state, request, "viewer")
        return Response(_exposition(state), media_type="text/plain; version=0.0.4")

    described = [
        DescribedRoute(_LIVE.path, live, [_LIVE]),
        DescribedRoute(_READY.path, ready, [_READY]),
        DescribedRoute(_METRICS.path, metrics, [_METRICS]),
        *management.routes(state),
        *repository_files.routes(state),
        *poll.routes(state),
        *ddi.routes(state),
    ]
    document = json.dumps(describe(operations(described)))

    async def openapi(_request: Request) -> Response:
        return Response(document, media_type="application/json")

    inner = Starlette(
        routes=[*described, *pages.routes(state), Route("/openapi.json", openapi)],
        exception_handlers={
            kind: _handler(problem)
            for kind, problem in (
                (Problem, lambda e: e),
                (HTTPException, lambda e: Problem(e.status_code, e.detail, e.headers)),
                (PlanError, lambda e: Problem(400, str(e))),
                (ReleaseError, lambda e: Problem(400, str(e))),
                (ActionClosedError, lambda e: Problem(410, str(e))),
                (ActionUnknownError, lambda e: Problem(404, str(e))),
                (RolloutError, lambda e: Problem(409, str(e))),
                (NotFoundError, lambda e: Problem(404, str(e))),
                (ConflictError, lambda e: Problem(409, str(e))),
                (StoreError, _away),
                (Exception, lambda _: Problem(500, "this is our fault, and it is in our log")),
            )
        },
        lifespan=lifespan,
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked = poll.is_poll(scope) if scope["type"] == "http" else None
        if asked is None:
            await inner(scope, receive, send)
        else:
            await poll.answer_poll(state, *asked, scope, receive, send)

    return app


def _away(error: Exception) -> Problem:
    _log.warning("%s", error)
    return unreachable()


def _handler(problem: Callable[..., Problem]) -> Callable[[Request, Exception], Response]:
    def handle(_request: Request, error: Exception) -> Response:
        return problem(error).response()

    return handle


class _Collector:
    def __init__(self, state: FleetState) -> None:
        self._state = state

    def collect(self) -> list[Metric]:
        """What this process counted since it began, and where its rollouts are."""
        figures, writer = self._state.figures, self._state.writer
        counted = (
            ("fleet_polls", "Polls answered.", figures.polls),
            ("fleet_polls_shown", "Polls that showed an action.", figures.shown),
            ("fleet_feedback", "Reports taken or refused.", figures.feedback),
            ("fleet_unauthorized", "Requests without a token that counts.", figures.refused),
            ("fleet_artifact_bytes", "Bytes of files sent.", figures.artifact_bytes),
            ("fleet_transactions", "Transactions that wrote.", writer.transactions),
        )
        found: list[Metric] = [CounterMetricFamily(n, text, value) for n, text, value in counted]
        tenants = len(self._state.tenants)
        found.append(GaugeMetricFamily("fleet_tenants", "Tenants.", tenants))
        return found


def _exposition(state: FleetState) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Collector(state))
    return generate_latest(registry)
