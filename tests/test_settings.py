"""Settings: values of every type from text and TOML, and one message that names all mistakes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from mien.errors import DataError, SettingsError
from mien.settings import override, override_several, parse_pairs, read_toml


@dataclass(frozen=True)
class Loop:
    epochs: int = 50
    patience: int | None = 10
    learning_rate: float = 0.001
    keep_epochs: bool = True
    precision: str = "32-true"
    columns: tuple[str, ...] = ("a", "b")

    def __post_init__(self):
        if self.epochs < 1:
            raise ValueError(f"Expected epochs to be at least 1, but got {self.epochs}")


@dataclass(frozen=True)
class Net:
    gru_size: int = 200
    dropout: float = 0.3

    def __post_init__(self):
        if not 0 <= self.dropout < 1:
            raise ValueError(f"Expected dropout in [0, 1), but got {self.dropout}")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", "7", 7),
        ("epochs", 7, 7),
        ("patience", "none", None),
        ("patience", "", None),
        ("patience", None, None),
        ("patience", "3", 3),
        ("learning_rate", "1e-3", 0.001),
        ("learning_rate", 1, 1.0),
        ("keep_epochs", "false", False),
        ("keep_epochs", "No", False),
        ("keep_epochs", "0", False),
        ("keep_epochs", "TRUE", True),
        ("keep_epochs", "yes", True),
        ("keep_epochs", False, False),
        ("precision", "bf16-mixed", "bf16-mixed"),
        ("columns", "x, y", ("x", "y")),
        ("columns", "x", ("x",)),
        ("columns", "", ()),
        ("columns", ["x", "y"], ("x", "y")),
    ],
)
def test_a_value_takes_the_type_of_its_field(name, value, expected):
    found = getattr(override(Loop(), {name: value}), name)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", "many", "a whole number"),
        ("epochs", "1.5", "a whole number"),
        ("epochs", 1.5, "a whole number"),
        ("epochs", True, "a whole number"),
        ("epochs", "none", "a whole number"),
        ("patience", "soon", "int or none"),
        ("learning_rate", "fast", "a number"),
        ("learning_rate", True, "a number"),
        ("learning_rate", [0.1], "a number"),
        ("keep_epochs", "maybe", "true or false"),
        ("keep_epochs", 2, "true or false"),
        ("precision", 32, "text"),
        ("columns", [1, 2], "a comma-separated list"),
        ("columns", 5, "a comma-separated list"),
    ],
)
def test_a_value_of_another_type_is_refused(name, value, expected):
    with pytest.raises(SettingsError) as caught:
        override(Loop(), {name: value})
    assert str(caught.value) == f"Expected {name} to be {expected}, but got {value!r}"


def test_values_go_to_the_dataclass_that_owns_them_and_the_defaults_stay():
    defaults = (Net(), Loop())
    net, loop = override_several(defaults, {"epochs": "3", "gru_size": "5"})
    assert (net, loop) == (Net(gru_size=5), Loop(epochs=3))
    assert defaults == (Net(), Loop())
    assert override_several(defaults, {}) == [Net(), Loop()]


def test_all_mistakes_come_at_once_each_with_the_nearest_name():
    values = {"epoch": 3, "gru_sise": 4, "zzzz": 1, "learning_rate": "fast", "dropout": "1.5"}
    with pytest.raises(SettingsError) as caught:
        override_several((Net(), Loop()), values)
    assert str(caught.value).split("; Expected ") == [
        "Expected a known setting, but got 'epoch'; did you mean 'epochs'?",
        "a known setting, but got 'gru_sise'; did you mean 'gru_size'?",
        "a known setting, but got 'zzzz'",
        "learning_rate to be a number, but got 'fast'",
        "dropout in [0, 1), but got 1.5",
    ]


def test_pairs():
    assert parse_pairs(["epochs=15", " name = a=b ", "empty="]) == {"epochs": "15", "name": "a=b", "empty": ""}
    with pytest.raises(SettingsError) as caught:
        parse_pairs(["epochs", "a=1", "15"])
    assert str(caught.value) == "Expected key=value, but got 'epochs', '15'; write for example epochs=15"


def test_toml(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('epochs = 3\nkeep_epochs = false\npatience = "none"\ncolumns = ["ä"]\n', encoding="utf-8")
    assert override(Loop(), read_toml(path)) == Loop(3, None, keep_epochs=False, columns=("ä",))


def test_toml_that_is_missing_or_none_says_so(tmp_path):
    path = tmp_path / "settings.toml"
    with pytest.raises(
        DataError, match="Expected a TOML file at .*settings.toml, but got nothing there; check the path"
    ):
        read_toml(path)
    for content in (b"epochs = ", b"epochs: 3", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="Expected TOML in .*settings.toml, but got .*; correct the file"):
            read_toml(path)
    with pytest.raises(DataError, match="Expected TOML in .* but got .*Is a directory"):
        read_toml(tmp_path)
