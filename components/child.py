"""Runs one executor in a process of its own: ``python -m components.child SPECIFICATION``.

The specification, in JSON, holds the executor (``module:function``), the parameters' class and
values, and the input and output folders. Standard output carries JSON lines back to the runner:
progress, warnings and at the end ``{"metrics"}`` or ``{"error"}``. Everything that libraries print
goes to standard error, which the runner keeps as the step's log. When the runner goes away, standard
input closes and this process ends. `components.warm` runs the same in a fork.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from components.base import Progress, UserError
from edge_agent.decoding import decode


def run(specification: dict[str, Any]) -> int:
    """Runs the executor that the specification names; 0 if it gave its metrics."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    Progress.stream = channel
    threading.Thread(target=_end_with_runner, daemon=True).start()
    try:
        execute = _named(specification["executor"])
        parameters = decode(_named(specification["parameters_class"]), specification["parameters"])
        inputs = {name: Path(path) for name, path in specification["inputs"].items()}
        outputs = {name: Path(path) for name, path in specification["outputs"].items()}
        _send(channel, {"metrics": execute(inputs, outputs, parameters)})
        return 0
    except UserError as e:
        _send(channel, {"error": str(e)})
    except OSError as e:
        traceback.print_exc()
        _send(channel, {"error": f"{e.filename or 'file'}: {e.strerror or e}"})
    except MemoryError:
        traceback.print_exc()
        _send(channel, {"error": "out of memory: give the step less data at once, or more memory"})
    except Exception:  # noqa: BLE001 - whatever it is, it ends this step alone
        traceback.print_exc()
    return 1


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _send(channel: Any, message: dict[str, Any]) -> None:
    print(json.dumps(message), file=channel, flush=True)


def _end_with_runner() -> None:
    os.read(0, 1)
    os._exit(2)


if __name__ == "__main__":
    sys.exit(run(json.loads(sys.argv[1])))
