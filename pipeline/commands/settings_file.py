"""``--settings FILE``: the parameters of steps in a file, as ``--set`` gives them one by one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.settings.reading import read_settings, shipped


class SettingsFile(argparse.Action):
    """Adds the settings in a file to those of ``--set``, at its place among them: later ones win."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        _option: str | None = None,
    ) -> None:
        """Reads the file that `values` names: one that is there, or one that comes along."""
        given, known = Path(str(values)), shipped()
        file = given if given.exists() else known.get(str(values), given)
        try:
            found = read_settings(file)
        except FileNotFoundError as e:
            message = f"{file}: there is no such file; by their names alone come {', '.join(known)}"
            raise argparse.ArgumentError(self, message) from e
        except OSError as e:
            raise argparse.ArgumentError(self, f"{file}: {e.strerror}") from e
        except ValueError as e:
            raise argparse.ArgumentError(self, f"{file}: {e}") from e
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), *found])
