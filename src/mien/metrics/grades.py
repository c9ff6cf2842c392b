"""Sentiment scores as 7 or 5 classes. Two rules are in use and disagree on many labels: every result names its rule.

| rule | a score y becomes | source |
|---|---|---|
| `round` | cut to [-3, 3] (or [-2, 2]), then rounded, halves to even | the Multimodal Transformer's code, MMSA's |
| `sdk` | away from 0: (0, 1] is 1, (1, 2] is 2, > 2 is 3, likewise below; 0 is 0 | CMU-MOSEI's readme, for its labels |

The readme speaks of labels, which are multiples of a third; a prediction is hardly ever exactly 0. Under `sdk` both are
therefore moved to the nearest third first: this part is ours. Five classes are the seven with 3 counted as 2.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from mien.schema import FloatArray, IntArray

STEPS_PER_POINT = 3


class GradeRule(StrEnum):
    """How a score in [-3, 3] becomes one of several classes."""

    ROUND = "round"
    SDK = "sdk"


def grades(values: FloatArray, rule: GradeRule, n_grades: int = 7) -> IntArray:
    """Classes -3 to 3 (seven) or -2 to 2 (five) of finite scores in [-3, 3], same shape."""
    top = n_grades // 2
    if rule is GradeRule.ROUND:
        return np.asarray(np.round(np.clip(values, -top, top)), dtype=np.int64)
    stepped = np.round(np.asarray(values, dtype=np.float64) * STEPS_PER_POINT)
    away = np.sign(stepped) * np.ceil(np.abs(stepped) / STEPS_PER_POINT)
    return np.asarray(np.clip(away, -top, top), dtype=np.int64)
