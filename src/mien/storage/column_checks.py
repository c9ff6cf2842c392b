"""Finds features whose values look like placeholders for missing ones, in one pass over the row groups of a Dataset.

Three rules are applied to every column, over all utterances that have the modality:

- **Absurd values.** The absolute value is at least 2**20 (about a million) times the median of those that are not
  zero, and above 1,024. Absolute values are compared by their power of two.
- **Repeated extremes.** The smallest or the largest value is not zero and occurs in at least three utterances and in
  1 % of them, and its distance from the next value is at least ten times the range of the other values.
- **Far extremes.** The distance of the smallest or the largest value from the next value is at least a thousand times
  the range of the other values; or ten times, if it is a usual placeholder such as -999 or 9999.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.schema import FloatArray

# number of exponents of float32; the exponent 0 stands for zero and for numbers that are nearly zero
N_EXPONENTS = 256
# an absurd value is this many powers of two above the median, and above 2**10 (the exponent has an offset of 127)
ABSURD_POWERS = 20
LEAST_ABSURD_EXPONENT = 127 + 10
# with fewer vectors there is no usual size
LEAST_ROWS = 8
LEAST_REPEATED, LEAST_REPEATED_SHARE = 3, 0.01
# distance of a repeated extreme from the next value, in ranges of the other values
FAR = 10
# the same for a value that may occur only once
FAR_ALONE = 1000
# numbers, without their sign, that people and programs write for a missing value; the last one is the largest number of
# half precision
PLACEHOLDERS = (999.0, 9999.0, 99999.0, 999999.0, 65504.0)


class _Low:
    """Smallest value of every column so far, how often it occurs, and the next larger value."""

    def __init__(self, n_features: int) -> None:
        self.value = np.full(n_features, np.inf)
        self.count = np.zeros(n_features, dtype=np.int64)
        self.following = np.full(n_features, np.inf)

    def add(self, rows: FloatArray) -> None:
        """Update with vectors (row, feature); at least one."""
        value = rows.min(axis=0)
        count = (rows == value).sum(axis=0)
        following = np.where(rows > value, rows, np.inf).min(axis=0)
        low = np.minimum(value, self.value)
        candidates = np.stack([self.value, self.following, value, following]).astype(np.float64)
        self.count = self.count * (self.value == low) + count * (value == low)
        self.following = np.where(candidates > low, candidates, np.inf).min(axis=0)
        self.value = low.astype(np.float64)


class ColumnCheck:
    """Running statistics of the columns of one modality.

    Args:
        n_features: Number of columns.
    """

    def __init__(self, n_features: int) -> None:
        self._n_rows = 0
        self._n_features = n_features
        self._low, self._high = _Low(n_features), _Low(n_features)  # the second one of the negative values
        self._exponents: NDArray[np.int64] = np.zeros((n_features, N_EXPONENTS), dtype=np.int64)

    def add(self, rows: FloatArray) -> None:
        """Update with the vectors (row, feature) of the utterances that have the modality."""
        if not rows.size:
            return
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        self._n_rows += len(rows)
        self._low.add(rows)
        self._high.add(-rows)
        exponents = (rows.view(np.uint32) >> 23) & 0xFF
        cells = np.arange(self._n_features) * N_EXPONENTS + exponents
        counts = np.bincount(cells.ravel(), minlength=self._n_features * N_EXPONENTS)
        self._exponents += counts.reshape(self._n_features, N_EXPONENTS)

    def suspected(self, names: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return the columns with suspected placeholders.

        Args:
            names: Names of the columns; without them, their numbers from 0 are used.

        Returns:
            One dictionary per column with "column", "value" (the extreme value), "utterances" (number of utterances
            with such a value) and "reason" ("absurd", "repeated extreme" or "far extreme").
        """
        if self._n_rows < LEAST_ROWS:
            return []
        n_absurd = self._n_absurd()
        low, high = self._low, self._high
        low_repeated = self._repeated(low, -high.value)
        high_repeated = self._repeated(high, -low.value)
        found: list[dict[str, Any]] = []
        low_far, high_far = self._is_far(low, -high.value), self._is_far(high, -low.value)
        low_found, high_found = low_repeated | low_far, high_repeated | high_far
        for column in np.flatnonzero((n_absurd > 0) | low_found | high_found).tolist():
            at_low = bool(low_found[column])
            if n_absurd[column]:
                at_low = bool(abs(low.value[column]) >= abs(high.value[column]))
            end, sign = (low, 1) if at_low else (high, -1)
            reason = "repeated extreme" if (low_repeated if at_low else high_repeated)[column] else "far extreme"
            found.append(
                {
                    "column": names[column] if names else column,
                    "value": float(sign * end.value[column]),
                    "utterances": int(n_absurd[column] or end.count[column]),
                    "reason": "absurd" if n_absurd[column] else reason,
                }
            )
        return found

    def _n_absurd(self) -> NDArray[np.int64]:
        """Return the number of absurd values of every column (feature,)."""
        counts = self._exponents[:, 1:]
        cumulated = counts.cumsum(axis=1)
        n_nonzero = cumulated[:, -1]
        median = 1 + (cumulated * 2 >= n_nonzero[:, None]).argmax(axis=1)
        least = np.maximum(median + ABSURD_POWERS, LEAST_ABSURD_EXPONENT)
        absurd = np.arange(N_EXPONENTS) >= least[:, None]
        n_absurd: NDArray[np.int64] = (self._exponents * absurd).sum(axis=1)
        return n_absurd

    def _repeated(self, end: _Low, opposite: FloatArray) -> NDArray[np.bool_]:
        """Return where the extreme value is a repeated one; `opposite` is the other extreme, with the sign of `end`."""
        often = (end.count >= LEAST_REPEATED) & (end.count >= LEAST_REPEATED_SHARE * self._n_rows)
        repeated: NDArray[np.bool_] = often & (_distance(end, opposite) >= FAR)
        return repeated

    def _is_far(self, end: _Low, opposite: FloatArray) -> NDArray[np.bool_]:
        """Return where the extreme value is far from all others; `opposite` is as for `_repeated`."""
        distance = _distance(end, opposite)
        is_usual = np.isin(np.abs(end.value), PLACEHOLDERS)
        is_far: NDArray[np.bool_] = (distance >= FAR_ALONE) | (is_usual & (distance >= FAR))
        return is_far


def _distance(end: _Low, opposite: FloatArray) -> FloatArray:
    """Return the distance of the extreme value of every column from the next one, in ranges of the other values.

    It is 0 if the extreme value is 0, or if the other values are equal.
    """
    with np.errstate(invalid="ignore", divide="ignore"):  # infinite minus infinite in a constant column
        gap, rest = end.following - end.value, opposite - end.following
        distance: FloatArray = np.where((end.value != 0) & (rest > 0), gap / rest, 0)
    return distance
