"""The hours around alarms in a folder that never holds more than it may: the oldest go for the newest."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from edge_agent.update import durable
from edge_agent.watching.alarm_hour import AlarmHour


class AlarmFolder:
    """A folder of tables and pictures of alarms."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """Writes nothing yet.

        Args:
            folder: made where it is missing; nothing in it but ``alarm-*`` is touched.
            most_bytes: what those may hold together.
        """
        self._folder = folder
        self._most = most_bytes

    def sweep(self) -> None:
        """Removes what a killed writer left half done; nobody else may be writing."""
        durable.sweep(self._folder)

    def add(self, hour: AlarmHour) -> Path | None:
        """Writes the hour's table, durably; gives its path, None if it alone is more than there may be.

        Raises:
            OSError: if the disk refuses.
        """
        name, number = hour.name, 1
        while (self._folder / f"{name}.csv").exists():
            number += 1
            name = f"{hour.name}-{number}"
        path = self._folder / f"{name}.csv"
        return path if self._write(path, hour.csv().encode()) else None

    def add_picture(self, table: Path, picture: bytes) -> None:
        """Writes the picture beside its table, if there is room and the table is still there.

        Raises:
            OSError: if the disk refuses.
        """
        if table.exists():
            self._write(table.with_suffix(".png"), picture, keep=table)

    def _write(self, path: Path, data: bytes, keep: Path | None = None) -> bool:
        durable.make_folder(self._folder)
        sizes: dict[Path, os.stat_result] = {}
        for file in self._folder.glob("alarm-*"):
            with contextlib.suppress(
                FileNotFoundError
            ):  # a picture that is being drawn makes room too
                sizes[file] = file.stat()
        held = sum(about.st_size for about in sizes.values())
        oldest = sorted(sizes, key=lambda file: (sizes[file].st_mtime_ns, file.name))
        need = len(data) + (sizes[keep].st_size if keep in sizes else 0)
        if need > self._most:
            return False
        for file in oldest:
            if held + len(data) <= self._most:
                break
            if file != keep:
                durable.remove(file)
                held -= sizes[file].st_size
        durable.write_whole(path, data)
        durable.make_newest(path, (file for file in sizes if file != path))
        return True
