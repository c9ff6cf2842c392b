"""The account of an import, and alarms about labels from the import to the evaluation."""

from __future__ import annotations

import numpy as np
import pytest
from tests.readers import examples as files

import mien
from mien.commands.account import AccountPart, account_part, import_account
from mien.commands.import_ import ImportOptions, import_dataset
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.labels import LabelKind
from mien.readers import rules
from mien.schema import Modality
from mien.storage import label_alarms
from mien.storage.describe import describe

QUICK = {"epochs": 1, "gru_size": 3, "dense_size": 3, "patience": None}


def arrays(path, score, **changes):
    """An .npz of 12 videos of three utterances; `score` gives the sentiment of each utterance from its row."""
    rng = np.random.default_rng(0)
    n = 36
    data = {
        "video_id": np.repeat([f"v{number}" for number in range(12)], 3),
        "split": np.repeat(["train"] * 6 + ["valid"] * 3 + ["test"] * 3, 3),
        "text": rng.normal(size=(n, 4)).astype(np.float32),
        "sentiment": np.array([score(row) for row in range(n)], dtype=np.float64),
    }
    np.savez(path, **(data | changes))
    return path


def stars(path, texts=("Good.", "Bad.", "So so.")):
    """A table of 12 videos with one to five stars in the column `stars`."""
    lines = [
        f"v{number},{part},{texts[part]} {number},{'train' if number < 10 else 'valid'},{1 + (3 * number + part) % 5}"
        for number in range(12)
        for part in range(3)
    ]
    return files.write_text(path, "video_id,index,text,split,stars\n" + "\n".join(lines) + "\n")


def test_the_account_has_what_was_read_kept_changed_ignored_and_is_suspicious(tmp_path):
    table = files.write_text(
        tmp_path / "talks.csv",
        "video_id,index,start,end,text,split,sentiment\n"
        "a,0,0,1,Hello,train,5\na,0,0,1,Hello,train,5\na,1,2,1,well,train,-1\nb,0,0,1,hello ,valid,0\n",
    )
    description = describe(import_dataset("table", table, tmp_path / "data"))
    account = import_account(description)
    assert account["read"]["reader"] == "table"
    assert account["read"]["files"] == ["talks.csv"]
    assert account["read"]["fields"]["index"] == "index"
    assert account["kept"] == {
        "videos": 2,
        "utterances": 3,
        "labels": {"sentiment": 3, "emotion": 0},
        "features": {},
    }
    assert account["ignored"] == {rules.ROW_REPEATED: 1}
    assert account["changed"][rules.END_NOT_AFTER_START] == 1
    assert account["changed"][rules.LABEL_CLAMPED] >= 1
    # one count of the shared transcripts, with its explanation
    assert rules.TRANSCRIPT_SHARED not in account["suspicious"]["rules"]
    (finding,) = account["suspicious"]["findings"]
    assert finding.startswith("1 of 2 different transcripts occur in more than one split, in 2 utterances")


@pytest.mark.parametrize(
    ("score", "rule"),
    [
        (lambda row: row % 2, label_alarms.SCALE_ZERO_ONE),
        (lambda row: row % 4, label_alarms.SCALE_NO_NEGATIVE),
        (lambda row: row % 9 / 4 - 1, label_alarms.SCALE_WITHIN_ONE),
    ],
)
def test_an_alarm_is_raised_by_import_training_and_evaluation(tmp_path, score, rule):
    dataset = import_dataset("arrays", arrays(tmp_path / "x.npz", score), tmp_path / "data")
    assert dataset.facts.origin["notes"] == {rule: 36}
    (alarm,) = dataset.facts.origin["alarms"]
    assert describe(dataset)["suspicious"][0] == alarm
    heard = []
    run = train(dataset, tmp_path / "run", TrainRequest(settings=QUICK), notify=heard.append)
    assert heard == [alarm]
    assert run.outcome["notes"][0] == alarm
    if rule == label_alarms.SCALE_WITHIN_ONE:  # the test split has nine utterances, enough only with all splits
        notes = mien.evaluate(run.folder, split="train", n_resamples=0).summary["runs"][0]["notes"]
        assert any("none of 18 scores is beyond 1" in note for note in notes)


def test_sound_labels_raise_no_alarm_and_add_no_key(tmp_path):
    dataset = import_dataset("arrays", arrays(tmp_path / "x.npz", lambda row: row % 7 - 3), tmp_path / "data")
    assert "alarms" not in dataset.facts.origin
    assert dataset.facts.origin["notes"] == {}
    run = train(dataset, tmp_path / "run", TrainRequest(settings=QUICK), notify=pytest.fail)
    assert "notes" not in run.outcome


def test_many_clamped_labels_are_an_alarm_and_its_remedies_work(tmp_path):
    table = stars(tmp_path / "stars.csv")
    dataset = import_dataset("table", table, tmp_path / "data", ImportOptions(mapping={"sentiment": "stars"}))
    notes = dataset.facts.origin["notes"]
    assert notes[label_alarms.SCALE_NO_NEGATIVE] == 36
    assert notes[label_alarms.SCALE_CLAMPED] == notes[rules.LABEL_CLAMPED]
    alarms = dataset.facts.origin["alarms"]
    assert all("--label sentiment=stars:score:LOW..NEUTRAL..HIGH" in alarm for alarm in alarms)
    for label, kind in (
        ("sentiment=stars:score:1..3..5", LabelKind.SCORE),
        ("sentiment=stars:ordinal:1..5", LabelKind.ORDINAL),
    ):
        mended = import_dataset("table", table, tmp_path / "data", ImportOptions(labels=(label,)))
        assert [space.kind for space in mended.facts.label_spaces] == [kind]
        assert "alarms" not in mended.facts.origin
        assert rules.LABEL_CLAMPED not in mended.facts.origin["notes"]
    counts = describe(
        import_dataset("table", table, tmp_path / "data", ImportOptions(labels=("sentiment=stars:score:1..3..5",)))
    )["splits"]["train"]["sentiment"]
    assert counts["negative"] > 0
    assert counts["negative"] + counts["zero"] + counts["positive"] == 30


def test_the_remedy_for_zero_and_one_in_arrays_works(tmp_path):
    path = arrays(tmp_path / "x.npz", lambda row: row % 2)
    dataset = import_dataset("arrays", path, tmp_path / "data", ImportOptions(mapping={"sentiment_class": "sentiment"}))
    assert "alarms" not in dataset.facts.origin


def test_a_field_may_have_another_name_of_its_modality(tmp_path):
    path = arrays(tmp_path / "x.npz", lambda row: row % 7 - 3, loud=np.ones((36, 2), np.float32))
    dataset = import_dataset("arrays", path, tmp_path / "data", ImportOptions(mapping={"voice": "loud"}))
    assert dataset.facts.origin["mapping"]["acoustic"] == "loud"
    assert dataset.facts.spaces[Modality.ACOUSTIC].n_features == 2


def test_a_note_is_listed_by_its_rule_with_or_without_names():
    parts = {
        rules.ROW_REPEATED: AccountPart.IGNORED,
        rules.with_names(rules.KEY_UNREAD, ["kept: dropped"]): AccountPart.IGNORED,
        f"{rules.COLUMN_UNUSED}: mood": AccountPart.IGNORED,
        f"{rules.COLUMN_OF_CLASSES}: mood (to read it: --label mood=mood:classes)": AccountPart.SUSPICIOUS,
        rules.PADDING_IN_FRONT: AccountPart.SUSPICIOUS,
        f"{rules.COLUMN_RENAMED}: Joy as happy": AccountPart.CHANGED,
        rules.LABEL_CLAMPED: AccountPart.CHANGED,
    }
    assert {note: account_part(note) for note in parts} == parts
