"""What a benchmark runs, before anything runs."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from tests.graded import write_graded

from mien.benchmark.suites import dataset_contents, find_suite
from mien.errors import DataError, SettingsError, UnknownNameError, UsageError
from mien.labels import paper_labels
from mien.models import MODELS
from mien.models.batch import InputKind
from mien.models.classical.base import ClassicalEntry
from mien.schema import FeatureSpace, Level, Modality, Utterance, Video
from mien.settings import read_toml
from mien.storage.dataset import DatasetFacts, write_dataset
from mien.tasks import EMOTION, PAPER_TASKS, SENTIMENT

T, A, V = Modality.TEXT, Modality.ACOUSTIC, Modality.VISUAL
BOTH = (SENTIMENT, EMOTION)


def small(folder, spaces, *, emotions=True):
    """A Dataset of three videos; a modality of word level has two words per utterance."""
    facts = DatasetFacts("small", {m: FeatureSpace(m, f"{m}-features", 2, level=level) for m, level in spaces.items()})
    videos = []
    for split in ("train", "valid", "test"):
        utterance = Utterance(0, 0.0, 1.0, "so", labels=paper_labels(1.0))
        utterance.labels |= paper_labels(emotions=np.array([1.0, 0, 0, 0, 0, 0]) if emotions else None)
        for modality, level in spaces.items():
            utterance.features[modality] = np.ones(2, np.float32)
            if level is Level.WORD:
                utterance.words[modality] = np.ones((2, 2), np.float32)
        videos.append(Video(f"video-{split}", [utterance], split))
    return write_dataset(folder, videos, facts)


def own(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_table4_has_every_subset_of_the_modalities_with_every_choice_of_tasks(planted):
    suite = find_suite("table4", dataset_contents(planted), {})
    inputs = [(T,), (A,), (V,), (T, A), (T, V), (A, V), (T, A, V)]
    tasks = [(SENTIMENT,), (EMOTION,), BOTH]
    assert [(each.inputs, each.tasks) for each in suite.settings] == list(itertools.product(inputs, tasks))
    assert {each.model for each in suite.settings} == {"cim"}
    assert suite.reference == suite.settings[-1].name == "T+A+V joint"
    assert len({each.slug for each in suite.settings}) == 21


def test_table4_leaves_out_what_is_not_there(tmp_path):
    have = dataset_contents(small(tmp_path / "data", {T: Level.UTTERANCE, V: Level.UTTERANCE}, emotions=False))
    suite = find_suite("table4", have, {})
    assert [each.name for each in suite.settings] == ["T sentiment", "V sentiment", "T+V sentiment"]
    assert suite.reference == "T+V sentiment"


def test_table7_is_every_system_that_the_data_admits_and_a_reason_for_each_other(planted):
    suite = find_suite("table7", dataset_contents(planted), {})
    by_word = {name for name, entry in MODELS.items() if entry.input_kind is InputKind.WORDS}
    beyond = {name for name, entry in MODELS.items() if entry.input_kind is InputKind.TRANSCRIPTS}
    assert by_word | beyond == set(suite.left_out)
    for name in by_word:
        assert "reads word by word" in suite.left_out[name]
        assert "import again with words" in suite.left_out[name]
    assert all("beyond the paper" in suite.left_out[name] for name in beyond)
    assert {each.name for each in suite.settings} == set(MODELS) - by_word - beyond
    assert suite.reference == "cim"
    for each in suite.settings:
        assert each.tasks == BOTH
        assert each.inputs == tuple(m for m in Modality if m in MODELS[each.model].modalities)


def test_table7_gives_word_level_systems_the_modalities_that_have_words(tmp_path):
    have = dataset_contents(small(tmp_path / "data", {T: Level.WORD}))
    suite = find_suite("table7", have, {})
    assert {each.inputs for each in suite.settings} == {(T,)}
    assert {name for name, entry in MODELS.items() if entry.input_kind is InputKind.WORDS} <= {
        e.name for e in suite.settings
    }
    assert suite.left_out["blanchard"] == "it hears acoustic, visual, and the Dataset has text"


def test_tasks_has_every_subset_each_task_with_its_own_reference(tmp_path):
    have = dataset_contents(write_graded(tmp_path / "data", 15))
    assert have.tasks == tuple(PAPER_TASKS)
    suite = find_suite("tasks", have, {})
    expected = [subset for size in range(1, 5) for subset in itertools.combinations(PAPER_TASKS, size)]
    assert [each.tasks for each in suite.settings] == expected
    assert len({each.slug for each in suite.settings}) == 15
    assert {(each.model, each.inputs) for each in suite.settings} == {("cim", (T,))}
    assert suite.reference == "S+E"
    named = {each.name: each.tasks for each in suite.settings}
    assert {task: named[name] for task, name in suite.references.items()} == {task: (task,) for task in PAPER_TASKS}
    # the intensities are asked for by name; the other suites are as they were
    assert {each.tasks for each in find_suite("table7", have, {}).settings} == {BOTH}
    assert len(find_suite("table4", have, {}).settings) == 3


def test_tasks_takes_no_degrees_from_classes(planted, tmp_path):
    suite = find_suite("tasks", dataset_contents(planted), {})
    assert [each.name for each in suite.settings] == ["S", "E", "SI", "S+E", "S+SI", "E+SI", "S+E+SI"]
    have = dataset_contents(small(tmp_path / "data", {T: Level.UTTERANCE}, emotions=False))
    assert [each.name for each in find_suite("tasks", have, {}).settings] == ["S", "SI", "S+SI"]


def test_own_suite_gets_the_reference_and_the_common_settings(planted, tmp_path):
    text = """
        name = "mine"
        settings = {epochs = 7, patience = "none"}
        [[setting]]
        name = "small T+V"
        inputs = ["visual", "text"]
        tasks = ["emotion"]
        settings = {gru_size = 5, epochs = 9}
        [[setting]]
        model = "majority"
    """
    suite = find_suite(
        own(tmp_path / "file.toml", text), dataset_contents(planted), {"learning_rate": "0.5", "epochs": "3"}
    )
    first, fitted, reference = suite.settings
    assert suite.name == "mine"
    assert (first.name, first.slug, first.inputs, first.tasks) == ("small T+V", "small-tv", (T, V), (EMOTION,))
    # the command's, below the file's, below the setting's own
    assert first.settings == {"gru_size": 5, "epochs": 9, "patience": None, "learning_rate": 0.5}
    assert (fitted.model, dict(fitted.settings)) == ("majority", {})
    assert isinstance(MODELS["majority"], ClassicalEntry)
    assert (reference.name, reference.model, reference.inputs, reference.tasks) == ("cim joint", "cim", (T, A, V), BOTH)
    assert reference.settings == {"epochs": 7, "patience": None, "learning_rate": 0.5}
    assert suite.reference == "cim joint"


def test_a_setting_that_is_the_reference_is_not_run_twice(planted, tmp_path):
    suite = find_suite(own(tmp_path / "f.toml", '[[setting]]\nname = "ours"'), dataset_contents(planted), {})
    assert [each.name for each in suite.settings] == ["ours"]
    assert (suite.name, suite.reference) == ("f", "ours")


def test_a_suite_may_name_its_own_reference(planted, tmp_path):
    rows = '[[setting]]\nname = "a"\nmodel = "concat"\n[[setting]]\nname = "b"\nmodel = "tfn"\n'
    suite = find_suite(own(tmp_path / "f.toml", 'reference = "b"\n' + rows), dataset_contents(planted), {})
    assert ([each.name for each in suite.settings], suite.reference) == (["a", "b"], "b")
    with pytest.raises(UnknownNameError, match=r"setting as the reference of .*f.toml.* a, b, but got 'c'"):
        find_suite(own(tmp_path / "f.toml", 'reference = "c"\n' + rows), dataset_contents(planted), {})


@pytest.mark.parametrize("name", ["suite_tuned_added", "suite_tuned_removed", "suite_tuned_emotions"])
def test_the_ablations_change_one_thing_a_row(name, tmp_path):
    """Against their reference: one setting, or the tasks, or (full tuning, emotions, sizes) what belongs together."""
    data = small(tmp_path / "data", {T: Level.UTTERANCE})
    suite = find_suite(Path(__file__).parents[2] / "experiments" / f"{name}.toml", dataset_contents(data), {})
    rows = {each.name: each for each in suite.settings}
    reference = rows.pop(suite.reference)
    rows.pop("cim", None)
    for row in rows.values():
        assert row.model == reference.model
        changed = {key for key, _ in set(row.settings.items()) ^ set(reference.settings.items())}
        changed |= {"tasks"} if row.tasks != reference.tasks else set()
        assert changed in (
            {"tuning"},
            {"tasks"},
            {"recurrence"},
            {"attention"},
            {"times"},
            {"task_weighting"},
            {"emotion_weight", "emotion_intensity_weight"},
            {"tuning", "encoder_learning_rate"},
            {"own_layers"},
            {"gru_size", "dense_size", "fused_size"},
        ), row.name


FIRST = {"own_layers": False, "gru_size": 128, "dense_size": 100, "fused_size": 128}


def test_the_ablations_are_of_the_networks_that_the_docs_say(tmp_path):
    """The older two of the first cim-tuned in every row, the third of what is shipped."""
    folder = Path(__file__).parents[2] / "experiments"
    sets = dataset_contents(small(tmp_path / "data", {T: Level.UTTERANCE}))
    for name in ("suite_tuned_added", "suite_tuned_removed"):
        for row in find_suite(folder / f"{name}.toml", sets, {}).settings:
            assert row.model == "cim" or FIRST.items() <= row.settings.items(), row.name
    suite = find_suite(folder / "suite_tuned_emotions.toml", sets, {})
    shipped = read_toml(folder / "mosei_text.toml")
    whole = next(row for row in suite.settings if row.name == suite.reference)
    # a benchmark gives every run one thread by itself
    assert {"threads": 1, **whole.settings} == shipped


def test_a_setting_may_name_another_data_set_beside_the_file(planted, tmp_path):
    other = small(tmp_path / "other", {V: Level.UTTERANCE}, emotions=False)
    text = '[[setting]]\nname = "elsewhere"\ndataset = "other"'
    first = find_suite(own(tmp_path / "f.toml", text), dataset_contents(planted), {}).settings[0]
    assert (first.inputs, first.tasks) == ((V,), (SENTIMENT,))
    assert first.dataset.fingerprint == other.fingerprint


def test_a_setting_may_use_other_names_of_the_modalities(planted, tmp_path):
    text = "[[setting]]\nname = 'loud'\ninputs = ['audio', 'face']"
    settings = find_suite(own(tmp_path / "f.toml", text), dataset_contents(planted), {}).settings
    assert next(each for each in settings if each.name == "loud").inputs == (A, V)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", DataError, r"at least one \[\[setting\]\]"),
        ("sead = 1\n[[setting]]", SettingsError, "the keys name, settings, reference, setting in .* but got 'sead'"),
        ("[[setting]]\nmodell = 'cim'", SettingsError, "'modell'; did you mean 'model'"),
        ("[[setting]]\nmodel = 'cmi'", UnknownNameError, "did you mean 'cim'"),
        (
            "[[setting]]\ninputs = ['txt']",
            UnknownNameError,
            "modality in setting 1 of .* but got 'txt'; did you mean 'text'",
        ),
        ("[[setting]]\nsettings = {gru_sise = 5}", SettingsError, "did you mean 'gru_size'"),
        ("settings = {gru_size = 5}\n[[setting]]", SettingsError, "a known setting, but got 'gru_size'"),
        ("[[setting]]\nmodel = 'mfn'", UsageError, "mfn cannot be trained on it: it reads word by word"),
        (
            "[[setting]]\nname='a b'\n[[setting]]\nname='A+B'\nmodel='tfn'\n[[setting]]\nname='a-b'",
            UsageError,
            "'a-b' and 'a b'",
        ),
        ("[[setting]]\nname = '!'", UsageError, "differ in letters and digits, but got '!'"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(planted, tmp_path, text, error, message):
    with pytest.raises(error, match=message):
        find_suite(own(tmp_path / "f.toml", text), dataset_contents(planted), {})


def test_an_unknown_suite_names_those_there_are(planted):
    with pytest.raises(
        UnknownNameError, match=r"suite to be one of FILE.toml, table4, table7, tasks, but got 'tabel4'"
    ):
        find_suite("tabel4", dataset_contents(planted), {})
    with pytest.raises(DataError, match="a TOML file at"):
        find_suite("nowhere.toml", dataset_contents(planted), {})
    with pytest.raises(SettingsError, match="gru_size"):
        find_suite("table4", dataset_contents(planted), {"gru_size": 3})


def test_the_suite_in_experiments_can_be_run(planted):
    file = Path(__file__).parents[2] / "experiments" / "suite_cim_choices.toml"
    suite = find_suite(file, dataset_contents(planted), {})
    assert suite.reference == "cim"
    assert [each.slug for each in suite.settings] == ["cim", "no-attention", "as-printed", "as-released"]
