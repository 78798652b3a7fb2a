"""From a tuple of strings to the options of a Beam runner, checked.

Import this before anything else of Beam: it keeps Beam's messages on import off the terminal.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Sequence

from components.base import UserError

_disabled = logging.root.manager.disable
logging.disable(logging.WARNING)
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions  # noqa: E402
from apache_beam.runners import create_runner  # noqa: E402

logging.disable(_disabled)
logging.getLogger("apache_beam").setLevel(logging.ERROR)

DASK = "apache_beam.runners.dask.dask_runner.DaskRunner"


def pipeline_options(arguments: Sequence[str]) -> PipelineOptions:
    """The options that `arguments` name, each as ``--name`` or ``--name=value``.

    Without any, it is the DirectRunner, in memory, in this process. The command line of this
    process is never looked at. ``DaskRunner`` is one of the names; a runner that Beam does not name
    itself is given with its module, e.g. ``--runner=package.module.SomeRunner``.

    Raises:
        UserError: if no runner knows one of the arguments, or there is no such runner.
    """
    for argument in arguments:
        if not argument.startswith("--"):
            raise UserError(f"beam_options: {argument!r}: write each option as --name=value")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = PipelineOptions(list(arguments))
            standard = options.view_as(StandardOptions)
            runner = standard.runner or "DirectRunner"
            if runner.lower() in ("dask", "daskrunner"):
                runner = standard.runner = DASK
            create_runner(runner)
            every = options.get_all_options(retain_unknown_options=True)
            unknown = set(every) - set(options.get_all_options())
    except SystemExit as e:
        reason = said.getvalue().strip().rpartition("error: ")[2]
        raise UserError(f"beam_options: {reason}") from e
    except (ImportError, ValueError, AttributeError, TypeError) as e:
        raise UserError(
            f"beam_options: the runner {runner!r} cannot be had here ({e}); leave --runner out to "
            "run on this machine"
        ) from e
    if unknown:
        names = ", ".join(f"--{name}" for name in sorted(unknown))
        raise UserError(f"beam_options: no Beam runner knows {names}: look for a slip of the pen")
    return options
