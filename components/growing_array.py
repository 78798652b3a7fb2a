"""An .npy file that grows row by row while it is written, so that no log need fit into memory."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt


class GrowingArray:
    """Writes an array of which only the first size is not known beforehand; a context manager."""

    def __init__(self, path: Path, dtype: npt.DTypeLike, row: tuple[int, ...] = ()) -> None:
        """Opens the file.

        Args:
            path: where it is written.
            dtype: of its values.
            row: the other sizes.
        """
        self._file = path.open("wb")
        self._dtype, self._row = np.dtype(dtype), row
        self.rows = 0
        self._header()

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Adds `rows`, shape (n, *row)."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)
        self.rows += len(rows)

    def __enter__(self) -> GrowingArray:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _at: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._header()
        finally:
            self._file.close()

    def _header(self) -> None:
        # numpy leaves room for the first size to grow in, so that the header's length stays.
        self._file.seek(0)
        description = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self.rows, *self._row),
        }
        np.lib.format.write_array_header_1_0(self._file, description)
