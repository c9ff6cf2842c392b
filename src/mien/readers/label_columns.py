"""Labels of the user's own in a table: `mien import table --label NAME=COLUMN:KIND[:VALUES]`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mien.errors import UsageError
from mien.labels import LabelKind, LabelSpace
from mien.readers.table_rows import TableRow, finite_number
from mien.schema import FloatArray

# separates the names of several labels in one cell
BETWEEN_LABELS = ";"
# in a cell of a multilabel, says that no label is present
NONE = "none"
BETWEEN_NUMBERS = ".."
FORM = (
    "Expected --label NAME=COLUMN:KIND[:LOW..HIGH|a,b,c] with KIND score, ordinal, classes or multilabel "
    "(for example topic=Topic:classes:sport,art), but got {text!r}; {reason}"
)


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """A label space, and the columns of a table that contain its labels."""

    space: LabelSpace
    # One column; or, for a multilabel, one column per label if `one_per_label`. Otherwise a cell of a multilabel lists
    # the names of the labels that are present.
    columns: tuple[str, ...]
    one_per_label: bool = False

    def read(self, row: TableRow) -> FloatArray | None:
        """Return the labels (column,) of one row; None if a cell is empty.

        Raises:
            DataError: A cell has a value that the label space does not have.
        """
        cells = [row.cells[column].strip() for column in self.columns]
        if self.space.kind is LabelKind.MULTILABEL and not self.one_per_label:
            return self._listed(row, cells[0])
        if not all(cells):
            return None
        if self.space.names and not self.one_per_label:
            return self._named(row, cells[0])
        values = np.array([row.number(column) for column in self.columns], dtype=np.float64)
        low, high = self.space.bounds
        for column, value in zip(self.columns, values, strict=True):
            if not low <= value <= high or (not self.space.is_graded and value not in (0, 1)):
                expected = f"a number in [{low:g}, {high:g}]" if self.space.is_graded else "0 or 1"
                raise row.refuse(
                    column, f"{expected} for {self.space.name}", "correct the cell or the range in --label"
                )
        return values

    def _named(self, row: TableRow, cell: str) -> FloatArray:
        """Return the index of the class or level whose name a cell contains."""
        number = finite_number(cell)
        if cell not in self.space.names and number is not None:
            cell = f"{number:g}"
        if cell not in self.space.names:
            raise self._unknown(row)
        return np.array([float(self.space.names.index(cell))])

    def _listed(self, row: TableRow, cell: str) -> FloatArray | None:
        """Return which labels a cell lists, as 0 and 1; None if the cell is empty."""
        if not cell:
            return None
        listed = _listed_names(cell)
        if not set(listed) <= {*self.space.names, NONE}:
            raise self._unknown(row)
        return np.array([float(name in listed) for name in self.space.names])

    def _unknown(self, row: TableRow) -> Exception:
        known = ", ".join(self.space.names)
        return row.refuse(
            self.columns[0], f"one of {known} for {self.space.name}", "correct the cell, or add to --label"
        )


@dataclass(frozen=True, slots=True)
class LabelOption:
    """One parsed `--label`. Classes and labels without names get those that occur in the file."""

    name: str
    kind: LabelKind
    columns: tuple[str, ...]
    names: tuple[str, ...] = ()
    range: tuple[float, float | None, float] | None = None
    one_per_label: bool = False

    def label_columns(self, rows: Callable[[], Iterable[TableRow]]) -> LabelColumns:
        """Return the label space and its columns.

        Args:
            rows: Function that returns all rows of the files. It is called if the names of classes are not given.

        Raises:
            UsageError: The parts of the option do not fit together.
        """
        option = self
        if not self.names and self.kind in (LabelKind.CLASSES, LabelKind.MULTILABEL):
            cells = [row.cells[self.columns[0]].strip() for row in rows()]
            if self.kind is LabelKind.MULTILABEL:
                cells = [name for cell in cells for name in _listed_names(cell)]
            option = dataclasses.replace(self, names=tuple(sorted({name for name in cells if name and name != NONE})))
        try:
            return LabelColumns(option._space(), self.columns, self.one_per_label)
        except ValueError as error:
            raise UsageError(FORM.format(text=self.name, reason=str(error))) from None

    def _space(self) -> LabelSpace:
        low, neutral, high = self.range or (0.0, None, None)
        names, origin = self.names, f"column {', '.join(self.columns)}"
        match self.kind:
            case LabelKind.SCORE:
                if high is None:
                    raise ValueError("a score needs its range, as in :-1..1")
                return LabelSpace(self.name, self.kind, (), low, high, neutral=neutral, origin=origin)
            case LabelKind.ORDINAL:
                if high is not None:
                    names = tuple(f"{number:g}" for number in np.arange(low, high + 1))
                cuts = tuple(number - 0.5 for number in range(1, len(names)))
                return LabelSpace(self.name, self.kind, names, 0.0, float(len(names) - 1), cuts, origin=origin)
            case LabelKind.CLASSES:
                return LabelSpace(self.name, self.kind, names, origin=origin)
            case LabelKind.MULTILABEL:
                none = NONE if NONE in names else None
                names = tuple(name for name in names if name != NONE)
                return LabelSpace(self.name, self.kind, names, 0.0, high, neutral=none, origin=origin)


def _listed_names(cell: str) -> list[str]:
    return [name for part in cell.split(BETWEEN_LABELS) if (name := part.strip())]


def parse_labels(texts: Sequence[str]) -> tuple[LabelOption, ...]:
    """Parse the values of `--label`.

    Args:
        texts: Values of the form NAME=COLUMN:KIND[:VALUES]. VALUES is LOW..HIGH, LOW..NEUTRAL..HIGH or a list of names.
            COLUMN of a multilabel may be a list LABEL=COLUMN,LABEL=COLUMN.

    Returns:
        The options.

    Raises:
        UsageError: A value has another form, or a name is given twice.
    """
    options = tuple(map(_parse_label, texts))
    names = [option.name for option in options]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"Expected every label once, but got --label {name}= twice; give it another name")
    return options


def _parse_label(text: str) -> LabelOption:
    name, _, rest = text.partition("=")
    kinds = {kind.value for kind in LabelKind}
    parts = rest.split(":")
    position = next((number for number in (len(parts) - 1, len(parts) - 2) if number > 0 and parts[number] in kinds), 0)
    column = ":".join(parts[:position])
    if not name or not column:
        raise UsageError(FORM.format(text=text, reason="name the column and the kind"))
    kind, values = LabelKind(parts[position]), parts[position + 1] if position + 1 < len(parts) else ""
    bounds = _parse_range(text, values) if BETWEEN_NUMBERS in values else None
    names = tuple(part.strip() for part in values.split(",")) if values and bounds is None else ()
    pairs = [each.partition("=") for each in column.split(",")]
    if kind is LabelKind.MULTILABEL and any(sign for _, sign, _ in pairs):
        if names or not all(sign and label.strip() and source.strip() for label, sign, source in pairs):
            raise UsageError(FORM.format(text=text, reason="write COLUMN as LABEL=COLUMN,LABEL=COLUMN, without names"))
        labels, sources = tuple(label.strip() for label, _, _ in pairs), tuple(each.strip() for _, _, each in pairs)
        return LabelOption(name, kind, sources, labels, bounds, one_per_label=True)
    graded = kind in (LabelKind.SCORE, LabelKind.ORDINAL)
    if bounds is not None and not graded:
        raise UsageError(FORM.format(text=text, reason=f"{kind} has names, not a range, unless labels have columns"))
    return LabelOption(name, kind, (column,), names, bounds)


def _parse_range(text: str, values: str) -> tuple[float, float | None, float]:
    """Parse LOW..HIGH or LOW..NEUTRAL..HIGH; `text` is the whole value of the option."""
    try:
        numbers = [float(part) for part in values.split(BETWEEN_NUMBERS)]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3):
        raise UsageError(FORM.format(text=text, reason="write the range as LOW..HIGH"))
    return numbers[0], numbers[1] if len(numbers) == 3 else None, numbers[-1]
