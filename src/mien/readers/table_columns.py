"""Columns of a table: which column contains which field, by its name or by another usual name, and which are unused."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mien.labels import LabelKind
from mien.readers.fields import TABLE_FIELDS, TEXT, VIDEO_ID
from mien.readers.rules import COLUMN_DECIMAL_COMMA, COLUMN_OF_CLASSES, COLUMN_RENAMED, COLUMN_UNUSED
from mien.readers.table_files import TableFile, require_columns
from mien.readers.table_rows import TableRow, finite_number
from mien.schema import EMOTION, EMOTIONS, SENTIMENT

NUMERIC = ("index", "start", "end", SENTIMENT, *EMOTIONS)
# a file must have all columns of a group or none
GROUPS = (("start", "end"), EMOTIONS)
# other usual names of columns, in lower case; upper and lower case make no difference
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "anger": ("angry",),
    "disgust": ("disgusted",),
    "fear": ("fearful", "afraid", "scared"),
    "happy": ("happiness", "joy", "joyful"),
    "sad": ("sadness",),
    "surprise": ("surprised",),
}
# names of classes of emotion and of sentiment, and of classes that either may have
EMOTION_WORDS = {*EMOTIONS, *(name for names in USUAL_NAMES.values() for name in names), "excited", "frustrated"}
SENTIMENT_WORDS = {"negative", "positive", "neg", "pos"}
COMMON_WORDS = {"neutral", "neu", "none", "other", "unknown"}
# words in the names of columns that often have one class per row
CLASS_WORDS = (EMOTION, SENTIMENT, "emo", "label", "class", "annotation", "polarity", "mood", "feeling")
# Fields whose columns must have the name exactly: a column such as "Index" often has other values.
EXACT = ("fold",)
EXACT_NAMES = ("index",)
MOST_CLASSES = 50
MOST_COLUMNS_NAMED = 30
# stands for a name that the user chooses
NEW_SPACE = "NAME"
SHOWN_NAME_CHARACTERS = 60
NO_NAME = "(without a name)"


@dataclass(slots=True)
class TableColumns:
    """Columns of one file.

    Attributes:
        table: The file.
        by_field: Field -> name of its column, for the fields that the file has.
        decimal_commas: Columns whose numbers have a decimal comma.
        unused: Columns that no field and no label space of the user reads.
    """

    table: TableFile
    by_field: dict[str, str]
    decimal_commas: frozenset[str] = frozenset()
    unused: tuple[str, ...] = ()
    # Unused column that may have one class per row -> its values. It is filled while the rows are read.
    classes: dict[str, set[str]] = field(default_factory=dict)

    def rows(self) -> Iterable[TableRow]:
        """Yield the rows, and collect the values of columns that may have one class per row."""
        counted = dict(self.classes)
        for row in self.table.rows(self.decimal_commas):
            for column, values in counted.items():
                values.add(row.cells[column].strip())
            if any(len(values) > MOST_CLASSES for values in counted.values()):
                counted = {column: values for column, values in counted.items() if len(values) <= MOST_CLASSES}
            yield row


def find_columns(
    table: TableFile,
    mapping: Mapping[str, str],
    own: Mapping[str, Collection[str]],
    notes: Counter[str],
    needs_text: bool = True,
) -> TableColumns:
    """Find the column of a file that contains the values of each field.

    A column with the name of the field comes first. Without one, a column with another usual name, or with upper and
    lower case differing, is read, and counted in `notes`. An optional column of this kind is read only if it fits: a
    column of a numeric field must contain numbers, and `GROUPS` must be complete.

    Args:
        table: The file.
        mapping: Field -> name of its column, as the user states it.
        own: Name of a label space of the user -> its columns. Fields of the same name are not read.
        notes: Counter: text of a rule -> how often it was applied. It is updated in place.
        needs_text: Whether the file must have a column of transcripts.

    Returns:
        The columns.

    Raises:
        DataError: A required column is missing. Or the file has only one of start and end, or only some of the six
            emotions.
    """
    replaced = {*own, *(EMOTIONS if EMOTION in own else ())}
    own_columns = {column for columns in own.values() for column in columns}
    columns: dict[str, str] = {}
    for name, candidates in TABLE_FIELDS.items():
        names = (mapping[name],) if name in mapping else candidates
        column = next((each for each in names if each in table.header), None)
        if name not in replaced and column is not None:
            columns[name] = column
    wanted = [name for name in TABLE_FIELDS if name not in (*columns, *replaced, *mapping, *EXACT)]
    taken = {*columns.values(), *own_columns, *mapping.values()}
    guessed = _guessed_columns(table, wanted, taken, columns)
    for name, column in guessed.items():
        notes[f"{COLUMN_RENAMED}: {shown_name(column)} as {name}"] += 1
    columns |= guessed
    column_names = {name: mapping.get(name, TABLE_FIELDS[name][0]) for name in TABLE_FIELDS}
    required = (VIDEO_ID, TEXT) if needs_text else (VIDEO_ID,)
    groups = [required, *(names for names in GROUPS if any(name in columns for name in names))]
    for names in groups:
        require_columns(table, {name: columns.get(name, column_names[name]) for name in names})
    numeric = [columns[name] for name in NUMERIC if name in columns]
    used = {*columns.values(), *own_columns}
    unused = tuple(name for name in table.header if name not in used) + table.unreadable
    decimal_commas = table.decimal_comma_columns([*numeric, *own_columns])
    for column in sorted(decimal_commas):
        notes[f"{COLUMN_DECIMAL_COMMA}: {shown_name(column)}"] += 1
    classes = {name: set[str]() for name in unused[:MOST_COLUMNS_NAMED] if name in table.header}
    return TableColumns(table, columns, decimal_commas, unused, classes)


def _guessed_columns(
    table: TableFile, wanted: Sequence[str], taken: Collection[str], known: Mapping[str, str]
) -> dict[str, str]:
    """Return field -> column with another usual name, for the fields that have exactly one such column that fits."""
    by_name: dict[str, list[str]] = {}
    for column in table.header:
        if column not in taken:
            by_name.setdefault(_plain_name(column), []).append(column)
    guessed: dict[str, str] = {}
    for name in wanted:
        # two columns with usual names of one field are ambiguous, and none is read
        spellings = (*TABLE_FIELDS[name], *USUAL_NAMES.get(name, ()))
        found = [each for spelling in spellings if spelling not in EXACT_NAMES for each in by_name.get(spelling, ())]
        if len(found) == 1:
            guessed[name] = found[0]
    for names in GROUPS:
        if any(name in guessed for name in names) and not all(name in guessed or name in known for name in names):
            guessed = {name: column for name, column in guessed.items() if name not in names}
    numeric = [column for name, column in guessed.items() if name in NUMERIC]
    not_numbers = _columns_with_words(table, numeric)
    if not_numbers & {guessed.get(name) for name in EMOTIONS}:
        not_numbers |= {guessed[name] for name in EMOTIONS if name in guessed}
    return {name: column for name, column in guessed.items() if column not in not_numbers}


def _columns_with_words(table: TableFile, columns: Collection[str]) -> set[str]:
    """Return the columns that have a cell which is neither empty nor a number."""
    if not columns:
        return set()
    decimal_commas = table.decimal_comma_columns(columns)
    with_words: set[str] = set()
    for row in table.rows(decimal_commas):
        with_words |= {name for name in columns if row.cells[name].strip() and finite_number(row.cells[name]) is None}
    return with_words


def _plain_name(column: str) -> str:
    return column.strip().casefold().replace(" ", "_").replace("-", "_")


def shown_name(column: str) -> str:
    """Return the name of a column for a note, shortened."""
    return column.strip()[:SHOWN_NAME_CHARACTERS] or NO_NAME


def count_unused(files: Sequence[TableColumns], own: Collection[str], notes: Counter[str]) -> None:
    """Name the columns that were not read in the notes, after all rows have been read.

    A column of words that are often repeated is said to have names of classes, with the option that reads it.

    Args:
        files: Columns of all files.
        own: Names of the label spaces of the user.
        notes: Counter: text of a rule -> number of files. It is updated in place.
    """
    n_files: Counter[str] = Counter(name for each in files for name in each.unused)
    fields = {name for each in files for name in each.by_field}
    taken = {*own, *fields, *((EMOTION,) if fields & set(EMOTIONS) else ())}
    for name in list(n_files)[:MOST_COLUMNS_NAMED]:
        values = set[str]().union(*(each.classes.get(name, ()) for each in files)) - {""}
        rule = f"{COLUMN_UNUSED}: {shown_name(name)}"
        if (space := _space_of_classes(name, values)) is not None:
            space = NEW_SPACE if space in taken else space
            option = shlex.quote(f"{space}={name}:{LabelKind.CLASSES.value}")
            rule = f"{COLUMN_OF_CLASSES}: {shown_name(name)} (to read it: --label {option})"
        notes[rule] += n_files[name]
    n_more = len(n_files) - MOST_COLUMNS_NAMED
    if n_more > 0:
        notes[f"{COLUMN_UNUSED}: {n_more} more"] += 1


def _space_of_classes(column: str, values: Collection[str]) -> str | None:
    """Return a name for the label space of a column that has names of classes; None if it has other values."""
    if not 1 < len(values) <= MOST_CLASSES or all(finite_number(value) is not None for value in values):
        return None
    words = {value.casefold() for value in values} - COMMON_WORDS
    for space, known in ((SENTIMENT, SENTIMENT_WORDS), (EMOTION, EMOTION_WORDS)):
        if words and 2 * len(words & known) >= len(words):
            return space
    return NEW_SPACE if any(word in _plain_name(column) for word in CLASS_WORDS) else None
