"""Looks at a Dask cluster before a pipeline is sent to it, so that nothing waits for ever."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components import beam_options  # noqa: F401  # before all else of Beam
from components.base import UserError

from apache_beam.options.pipeline_options import PipelineOptions  # isort: skip
from apache_beam.runners.dask.dask_runner import DaskOptions  # isort: skip
from distributed import Client  # isort: skip

_WAIT_SECONDS = 30


def check_cluster(options: PipelineOptions, folders: Sequence[Path]) -> None:
    """Asks every worker of the cluster that `options` name whether it sees `folders`.

    Without an address there is no cluster yet: the runner starts one on this machine.

    Raises:
        UserError: if the scheduler does not answer in time, has no worker, or a worker does not see
            a folder or has not this code; the time is ``--dask_connection_timeout``, or 30 s.
    """
    given = options.view_as(DaskOptions).get_all_options(drop_default=True, current_only=True)
    where = {key: given[key] for key in ("address", "scheduler_file") if key in given}
    if not where:
        return
    name = next(iter(where.values()))
    if not Path(where.get("scheduler_file", "/")).exists():
        raise UserError(f"{name}: no such file: give the one that `dask scheduler` wrote")
    wait = given.get("timeout", _WAIT_SECONDS)
    try:
        client: Any = Client(**where, timeout=wait)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as e:
        raise UserError(
            f"the Dask scheduler at {name} cannot be reached within {wait} s ({e}): start it with "
            "`dask scheduler`, or correct --dask_client_address"
        ) from e
    with client:
        try:
            client.wait_for_workers(1, timeout=wait)
        except TimeoutError as e:
            raise UserError(
                f"the Dask scheduler at {name} has no worker, after {wait} s: start some with "
                f"`dask worker {name}`"
            ) from e
        answers: dict[str, Any] = client.run(
            _missing, [str(folder) for folder in folders], on_error="return"
        )
    for worker, missing in answers.items():
        if isinstance(missing, Exception):
            raise UserError(
                f"the Dask worker {worker} cannot run this project ({missing}): its environment "
                "must hold requirements.txt, and its PYTHONPATH this checkout"
            ) from missing
        if missing:
            raise UserError(
                f"{missing[0]}: the Dask worker {worker} does not see this folder: it must be one "
                "that all workers share, at the same path"
            )


def _missing(folders: list[str]) -> list[str]:
    return [folder for folder in folders if not Path(folder).is_dir()]
