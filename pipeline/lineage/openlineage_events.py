"""OpenLineage events (openlineage.io) of what a run does, for those who collect lineage elsewhere.

A run of a recipe is a run of the job ``RECIPE``, and each of its executions one of ``RECIPE.Component``
with that as its parent: START, then COMPLETE, FAIL or ABORT. Artifacts are datasets of the namespace
``file``, named by their folders, with the digest of their content as version.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attr
from openlineage.client.event_v2 import (
    InputDataset,
    Job,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
    set_producer,
)
from openlineage.client.facet_v2 import (
    JobFacet,
    RunFacet,
    dataset_version_dataset,
    error_message_run,
    execution_parameters_run,
    job_type_job,
    parent_run,
)
from openlineage.client.transport.file import FileConfig, FileTransport
from openlineage.client.transport.http import (
    ApiKeyTokenProvider,
    HttpConfig,
    HttpTransport,
    TokenProvider,
)
from openlineage.client.transport.transport import Transport
from openlineage.client.uuid import generate_new_uuid

from components.base import UserError

KEY_VARIABLE = "OPENLINEAGE_API_KEY"
_NAMESPACE = "edge"
_FILE = "file"
_PRODUCER = "urn:edge:pipeline"
_TIME_OUT = 3.0  # seconds that one event may hold up a run
_ENDED = {
    "complete": RunState.COMPLETE,
    "refused": RunState.COMPLETE,
    "cached": RunState.COMPLETE,
    "failed": RunState.FAIL,
    "interrupted": RunState.ABORT,
}


@attr.define
class ExecutionFacet(RunFacet):
    """What an execution is beyond OpenLineage's own facets: its cache key, code, and metrics."""

    state: str = ""
    cacheKey: str = ""  # noqa: N815
    code: str = ""
    metrics: Mapping[str, float] = attr.field(factory=dict)

    @staticmethod
    def _get_schema() -> str:
        return f"{_PRODUCER}:execution"


Datasets = Mapping[Path, str]  # folder to digest


class Events:
    """Where a run's events go; one that cannot be sent is warned of once and ends no run.

    After the first failure nothing more is sent: a dead endpoint must not delay each step.

    Args:
        target: a file, which events are appended to as JSON lines, or the URL of a collector.
        warn: is told what went wrong.

    Raises:
        UserError: if `target` can be neither.
    """

    def __init__(self, target: str, warn: Callable[[str], None]) -> None:
        set_producer(_PRODUCER)
        self._target = target
        self._warn = warn
        self._transport: Transport | None = _transport(target)
        self._recipe = Job(namespace=_NAMESPACE, name="")
        self._run = Run(runId=str(generate_new_uuid()))
        self._steps: dict[int, tuple[Run, Job, list[InputDataset]]] = {}

    def run_started(self, recipe: str) -> None:
        """A run of `recipe` starts."""
        self._recipe = Job(namespace=_NAMESPACE, name=recipe, facets=_kind("RECIPE"))
        self._send(RunState.START, self._run, self._recipe)

    def run_ended(self, state: str) -> None:
        """The run ended in this state (`pipeline.lineage.schema.Context`)."""
        self._send(_ENDED[state], self._run, self._recipe)

    def step_started(
        self,
        execution: int,
        component: str,
        key_parts: Mapping[str, Any],
        cache_key: str,
        parameters: Mapping[str, Any],
        inputs: Datasets,
    ) -> None:
        """An execution starts."""
        facets: dict[str, RunFacet] = {
            "parent": parent_run.ParentRunFacet(
                run=parent_run.Run(runId=self._run.runId),
                job=parent_run.Job(namespace=_NAMESPACE, name=self._recipe.name),
            ),
            "executionParameters": execution_parameters_run.ExecutionParametersRunFacet(
                parameters=[
                    execution_parameters_run.ExecutionParameter(
                        key=name, name=name, value=json.dumps(value)
                    )
                    for name, value in parameters.items()
                ]
            ),
            "edgeExecution": ExecutionFacet(
                state="running", cacheKey=cache_key, code=str(key_parts.get("code", ""))
            ),
        }
        run = Run(runId=str(generate_new_uuid()), facets=facets)
        name = f"{self._recipe.name}.{component}"
        job = Job(namespace=_NAMESPACE, name=name, facets=_kind("STEP"))
        taken = [InputDataset(_FILE, str(f), facets=_version(d)) for f, d in inputs.items()]
        self._steps[execution] = run, job, taken
        self._send(RunState.START, run, job, taken)

    def step_ended(
        self, execution: int, state: str, metrics: Mapping[str, float], outputs: Datasets
    ) -> None:
        """An execution ended in this state (`pipeline.lineage.schema.Execution`)."""
        run, job, taken = self._steps.pop(execution)
        facets = dict(run.facets or {})
        started = facets["edgeExecution"]
        assert isinstance(started, ExecutionFacet)
        facets["edgeExecution"] = attr.evolve(started, state=state, metrics=dict(metrics))
        if state == "failed":
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                message=f"{job.name} failed; its log says why", programmingLanguage="python"
            )
        made = [OutputDataset(_FILE, str(f), facets=_version(d)) for f, d in outputs.items()]
        self._send(_ENDED[state], Run(run.runId, facets), job, taken, made)

    def _send(
        self,
        state: RunState,
        run: Run,
        job: Job,
        inputs: list[InputDataset] | None = None,
        outputs: list[OutputDataset] | None = None,
    ) -> None:
        if self._transport is None:
            return
        now = datetime.datetime.now(datetime.UTC).isoformat()
        event = RunEvent(
            eventTime=now,
            eventType=state,
            run=run,
            job=job,
            inputs=inputs or [],
            outputs=outputs or [],
        )
        try:
            self._transport.emit(event)
        except Exception as e:  # noqa: BLE001 - whatever a transport raises, the run goes on
            self._transport = None
            reason = str(e).splitlines()[0] if str(e) else type(e).__name__
            self._warn(f"--openlineage {_shown(self._target)}: no more events are sent: {reason}")


def _transport(target: str) -> Transport:
    parts = urlsplit(target)
    if parts.scheme in ("http", "https"):
        if not parts.hostname:
            raise UserError(f"--openlineage {target}: names no host")
        key = os.environ.get(KEY_VARIABLE)
        config = HttpConfig(
            url=f"{parts.scheme}://{parts.netloc}",
            endpoint=parts.path.strip("/") or "api/v1/lineage",
            timeout=_TIME_OUT,
            retry={"total": 0},
            auth=ApiKeyTokenProvider({"apiKey": key}) if key else TokenProvider({}),
        )
        return HttpTransport(config)
    if "://" in target:
        raise UserError(f"--openlineage {_shown(target)}: write a file or an http(s) URL")
    path = Path(target).absolute()
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"--openlineage {target}: name a file in a folder that is there")
    return FileTransport(FileConfig(log_file_path=str(path), append=True))


def _kind(kind: str) -> dict[str, JobFacet]:
    facet = job_type_job.JobTypeJobFacet(
        processingType="BATCH", integration="EDGE_PIPELINE", jobType=kind
    )
    return {"jobType": facet}


def _version(digest: str) -> dict[str, Any]:
    facet = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=digest)
    return {"version": facet}


def _shown(target: str) -> str:
    """`target` without a user's name and password."""
    parts = urlsplit(target)
    return (
        target
        if "@" not in parts.netloc
        else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    )
