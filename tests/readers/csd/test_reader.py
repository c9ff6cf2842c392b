from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.readers.examples import (
    LABEL_NAMES,
    LONG_ID,
    N_ACOUSTIC,
    SHORT_ID,
    by_index,
    csd_folder,
    labels,
    videos_of,
    write_csd,
    write_text,
)

from mien.errors import DataError
from mien.readers import open_reader, rules
from mien.readers.base import ReaderOptions, SourceDataSet
from mien.readers.csd.folds import mosei_folds, official_folds
from mien.schema import EMOTIONS, Level, Modality

WORD_TIMES = np.array([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]])
ONE_SEGMENT = labels((0, 3, 1, 0, 0, 0, 0, 0, 0))


def opened(folder: Path, **mapping: str) -> SourceDataSet:
    return open_reader("csd", [folder], ReaderOptions(mapping))


def small(folder: Path, segments: Any = ONE_SEGMENT, video_id: str = "v", **streams: tuple[Any, Any]) -> Path:
    """One video; streams by role, each (intervals, features), text vectors of the three words by default."""
    roots = {"words": "words", "text": "glove_vectors", "acoustic": "COVAREP", "visual": "FACET 4.2"}
    write_csd(folder / "labels.csd", "All Labels", {video_id: segments}, LABEL_NAMES)
    streams = {"text": (WORD_TIMES, np.eye(3)), **streams}
    for role, rows in streams.items():
        write_csd(folder / f"{role}.csd", roots[role], {video_id: rows})
    return folder


def test_segments_words_labels_and_transcripts_meet(tmp_path: Path) -> None:
    source = opened(csd_folder(tmp_path))
    assert source.splits == {LONG_ID: "train", SHORT_ID: "train"}
    assert source.mapping == {
        "labels": "All Labels",
        "words": "words",
        "text": "glove_vectors",
        "acoustic": "COVAREP",
        "visual": "FACET 4.2",
    }
    for video in videos_of(source).values():
        early, late = video.utterances
        # the row number stays the index, the order is by start
        assert [(each.index, each.start_s, each.end_s) for each in video.utterances] == [(1, 0, 3), (0, 3, 6)]
        assert (early.transcript, late.transcript) == ("good day", "café no end")
        assert (early.sentiment, late.sentiment) == (2.0, -1.0)
        assert early.emotions is not None
        assert dict(zip(EMOTIONS, early.emotions.tolist(), strict=True)) == {
            "anger": 0,
            "disgust": 0,
            "fear": 0.5,
            "happy": 1,
            "sad": 0,
            "surprise": 0,
        }
        assert {modality: len(rows) for modality, rows in late.words.items()} == dict.fromkeys(Modality, 3)
    assert source.notes == {}


def test_an_utterance_is_the_mean_of_its_words_and_a_word_of_its_frames(tmp_path: Path) -> None:
    # 2 frames in the first word, 1 in the second, none in the third: means of means, not of frames
    frames = (np.array([[0, 0.5], [0.5, 1.0], [1.0, 2.0]]), np.array([[2.0], [4.0], [9.0]]))
    utterance = videos_of(opened(small(tmp_path, acoustic=frames)))["v"].utterances[0]
    assert utterance.words[Modality.ACOUSTIC].tolist() == [[3.0], [9.0], [0.0]]
    assert utterance.word_present[Modality.ACOUSTIC].tolist() == [True, True, False]
    assert utterance.features[Modality.ACOUSTIC].tolist() == [6.0]
    np.testing.assert_allclose(utterance.features[Modality.TEXT], [1 / 3] * 3)
    assert Modality.VISUAL not in utterance.features


def test_an_utterance_whose_words_all_lack_frames_lacks_the_modality(tmp_path: Path) -> None:
    segments = labels((0, 2, 1, 0, 0, 0, 0, 0, 0), (2, 3, 1, 0, 0, 0, 0, 0, 0))
    face = (np.array([[0, 2.0]]), np.array([[5.0]]))
    first, second = videos_of(opened(small(tmp_path, segments, visual=face)))["v"].utterances
    assert first.features[Modality.VISUAL].tolist() == [5.0]
    assert Modality.VISUAL not in second.features
    assert Modality.VISUAL not in second.words
    assert len(second.words[Modality.TEXT]) == 1


def test_bad_frames_are_left_out_and_words_of_bad_frames_alone_lack_the_modality(tmp_path: Path) -> None:
    frames = np.array([[1.0, np.nan], [3.0, 4.0], [-np.inf, 2.0]])
    voice = (np.array([[0, 0.5], [0.5, 1.0], [1.0, 2.0]]), frames)
    source = opened(small(tmp_path, acoustic=voice))
    utterance = videos_of(source)["v"].utterances[0]
    assert utterance.words[Modality.ACOUSTIC].tolist() == [[2.0, 4.0], [0.0, 0.0], [0.0, 0.0]]
    assert utterance.features[Modality.ACOUSTIC].tolist() == [2.0, 4.0]
    assert source.notes[rules.VALUE_NOT_FINITE] == 2
    assert source.notes[rules.WORD_NOT_FINITE] == 1


def test_a_bad_text_vector_is_an_absent_word(tmp_path: Path) -> None:
    vectors = np.array([[1.0, 2.0], [np.nan, 0.0], [3.0, 6.0]])
    source = opened(small(tmp_path, text=(WORD_TIMES, vectors)))
    utterance = videos_of(source)["v"].utterances[0]
    assert utterance.word_present[Modality.TEXT].tolist() == [True, False, True]
    assert utterance.features[Modality.TEXT].tolist() == [2.0, 4.0]
    assert (source.notes[rules.VALUE_NOT_FINITE], source.notes[rules.WORD_NOT_FINITE]) == (1, 1)


def test_words_of_no_length_and_words_outside_are_counted_and_left_out(tmp_path: Path) -> None:
    times = np.array([[4.0, 5.0], [1.0, 1.0], [1.0, 2.0], [0.0, 1.0]])
    source = opened(small(tmp_path, text=(times, np.eye(4))))
    utterance = videos_of(source)["v"].utterances[0]
    assert utterance.words[Modality.TEXT].tolist() == [[0, 0, 0, 1], [0, 0, 1, 0]]
    assert source.notes == {rules.WORD_EMPTY: 1, rules.WORD_OUTSIDE: 1, rules.FOLD_UNKNOWN: 1}


def test_a_word_across_a_border_belongs_to_both_segments(tmp_path: Path) -> None:
    segments = labels((0, 1.5, 1, 0, 0, 0, 0, 0, 0), (1.5, 3, 1, 0, 0, 0, 0, 0, 0))
    first, second = videos_of(opened(small(tmp_path, segments)))["v"].utterances
    assert (len(first.words[Modality.TEXT]), len(second.words[Modality.TEXT])) == (2, 2)


def test_a_segment_after_the_last_word_keeps_its_labels(tmp_path: Path) -> None:
    segments = labels((0, 3, 1, 0, 0, 0, 0, 0, 0), (8, 9, -2, 0, 0, 0, 0, 0, 0))
    last = videos_of(opened(small(tmp_path, segments)))["v"].utterances[1]
    assert (last.sentiment, last.features, last.words, last.transcript) == (-2.0, {}, {}, "")


def test_doubtful_label_rows(tmp_path: Path) -> None:
    segments = labels(
        (0, 1, 3.33, 0, 0, 0, 0, 0, 3.5),
        (1, 1, 1, 0, 0, 0, 0, 0, 0),
        (2, 1, 1, 0, 0, 0, 0, 0, 0),
        (np.nan, 1, 1, 0, 0, 0, 0, 0, 0),
        (1, 2, np.nan, 0, 0, np.nan, 0, 0, 0),
        (0, 1, 3.33, 0, 0, 0, 0, 0, 3.5),
        (0, 1, 2, 0, 0, 0, 0, 0, 0),
    )
    source = opened(small(tmp_path, segments))
    utterances = by_index(videos_of(source)["v"])
    assert sorted(utterances) == [0, 4, 6]
    assert utterances[0].sentiment == 3.0
    assert utterances[0].emotions is not None
    assert utterances[0].emotions[EMOTIONS.index("fear")] == 3.0
    assert (utterances[4].sentiment, utterances[4].emotions) == (None, None)
    assert source.notes == {
        rules.LABEL_CLAMPED: 2,
        rules.SEGMENT_EMPTY: 3,
        rules.ROW_REPEATED: 1,
        rules.LABEL_NOT_FINITE: 1,
        rules.EMOTIONS_IN_PART: 1,
        rules.WORD_OUTSIDE: 1,
        rules.FOLD_UNKNOWN: 1,
    }


@pytest.mark.parametrize("names", [LABEL_NAMES, tuple(reversed(LABEL_NAMES)), None, ("a",) * 7])
def test_labels_are_found_by_name_and_by_the_documented_order_without(tmp_path: Path, names: Any) -> None:
    folder = small(tmp_path)
    row = {"sentiment": -2.0, "happy": 0.1, "sad": 0.2, "anger": 0.3, "surprise": 0.4, "disgust": 0.5, "fear": 0.6}
    order = names if names is not None and "fear" in names else LABEL_NAMES
    write_csd(folder / "labels.csd", "All Labels", {"v": ([[0, 3]], [[row[name] for name in order]])}, names)
    utterance = videos_of(opened(folder))["v"].utterances[0]
    assert utterance.sentiment == -2.0
    assert utterance.emotions is not None
    assert utterance.emotions.tolist() == [row[name] for name in EMOTIONS]


def test_the_older_pair_of_label_files_is_joined_by_time(tmp_path: Path) -> None:
    folder = small(tmp_path)
    (folder / "labels.csd").unlink()
    write_csd(folder / "s.csd", "Sentiment Labels", {"v": ([[0, 1], [1, 2]], [[1.0], [2.0]])})
    emotions = ([[5, 6], [1, 2]], [[1, 1, 1, 1, 1, 1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]])
    write_csd(folder / "e.csd", "Emotion Labels", {"v": emotions, "w": ([[0, 1]], [[0, 0, 0, 0, 0, 0]])})
    source = opened(folder)
    videos = videos_of(source)
    first, second = videos["v"].utterances
    assert (first.sentiment, first.emotions, second.sentiment) == (1.0, None, 2.0)
    assert second.emotions is not None
    # happy, sad, anger, surprise, disgust, fear -> alphabetical
    assert second.emotions.tolist() == [0.3, 0.5, 0.6, 0.1, 0.2, 0.4]
    assert videos["w"].utterances[0].sentiment is None
    assert source.notes[rules.LABEL_ROW_UNMATCHED] == 1
    assert source.mapping["labels"] == "Sentiment Labels + Emotion Labels"


def test_ids_are_compared_whole(tmp_path: Path) -> None:
    folder = csd_folder(tmp_path)
    write_csd(folder / "voice.csd", "COVAREP", {LONG_ID: ([[0, 6]], np.ones((1, N_ACOUSTIC)))})
    source = opened(folder)
    videos = videos_of(source)
    assert Modality.ACOUSTIC in videos[LONG_ID].utterances[0].features
    assert Modality.ACOUSTIC not in videos[SHORT_ID].utterances[0].features
    assert source.notes == {rules.STREAM_MISSING[Modality.ACOUSTIC]: 1}


def test_videos_without_labels_words_or_a_fold_are_counted(tmp_path: Path) -> None:
    folder = csd_folder(tmp_path)
    segments = labels((0, 3, 1, 0, 0, 0, 0, 0, 0))
    write_csd(folder / "labels.csd", "All Labels", {"2552": segments, SHORT_ID: segments}, LABEL_NAMES)
    source = opened(folder)
    videos = videos_of(source)
    assert source.splits == {"2552": None, SHORT_ID: "train"}
    assert (videos["2552"].utterances[0].features, videos["2552"].utterances[0].sentiment) == ({}, 1.0)
    assert source.notes == {
        rules.VIDEO_UNLABELLED: 1,
        rules.FOLD_UNKNOWN: 1,
        rules.VIDEO_WORDLESS: 1,
        rules.WORDS_MISSING: 1,
        rules.STREAM_MISSING[Modality.TEXT]: 1,
        rules.WORD_OUTSIDE: 3,
    }


def test_words_stand_in_for_text_vectors(tmp_path: Path) -> None:
    folder = csd_folder(tmp_path)
    (folder / "text.csd").unlink()
    source = opened(folder)
    utterance = videos_of(source)[SHORT_ID].utterances[0]
    assert set(source.spaces) == {Modality.ACOUSTIC, Modality.VISUAL}
    assert len(utterance.words[Modality.ACOUSTIC]) == 3


def test_entries_of_aligned_files_are_joined_by_number(tmp_path: Path) -> None:
    folder = small(tmp_path, video_id="-a[b]")
    parts = {f"-a[b][{n}]": ([[n, n + 1]], [[float(n), 0, 0]]) for n in range(12)}
    write_csd(folder / "text.csd", "glove_vectors", parts)
    segments = {f"-a[b][{n}]": labels((n, n + 1, n / 4, 0, 0, 0, 0, 0, 0)) for n in (10, 2, 0)}
    write_csd(folder / "labels.csd", "All Labels", segments, LABEL_NAMES)
    video = videos_of(opened(folder))["-a[b]"]
    assert [(each.index, each.sentiment) for each in video.utterances] == [(0, 0), (2, 0.5), (10, 2.5)]
    assert [each.features[Modality.TEXT][0] for each in video.utterances] == [0, 2, 10]


def test_words_can_be_left_out_without_changing_the_space(tmp_path: Path) -> None:
    folder = csd_folder(tmp_path)
    with_words = opened(folder)
    without = open_reader("csd", [folder], ReaderOptions(words=False))
    first, second = videos_of(with_words)[SHORT_ID].utterances[0], videos_of(without)[SHORT_ID].utterances[0]
    assert not second.words
    np.testing.assert_array_equal(first.features[Modality.VISUAL], second.features[Modality.VISUAL])
    assert without.spaces[Modality.VISUAL].level is Level.UTTERANCE
    assert without.spaces[Modality.VISUAL].fingerprint == with_words.spaces[Modality.VISUAL].fingerprint


def test_covarep_columns_are_named_where_the_width_is_right(tmp_path: Path) -> None:
    voice = (WORD_TIMES, np.ones((3, 74)))
    space = opened(small(tmp_path, acoustic=voice)).spaces[Modality.ACOUSTIC]
    assert (space.name, len(space.columns), space.columns[0], space.columns[-1]) == (
        "csd-COVAREP",
        74,
        "F0",
        "HMPDD_12",
    )
    assert opened(small(tmp_path, acoustic=(WORD_TIMES, np.ones((3, 5))))).spaces[Modality.ACOUSTIC].columns == ()


def test_a_space_does_not_depend_on_how_the_root_name_is_written(tmp_path: Path) -> None:
    folder = csd_folder(tmp_path)
    before = opened(folder).spaces[Modality.VISUAL]
    write_csd(folder / "face.csd", "FACET_4.2", {SHORT_ID: ([[0, 6]], np.ones((1, 2)))})
    after = opened(folder).spaces[Modality.VISUAL]
    assert before.name == after.name == "csd-FACET_4.2"
    assert before.fingerprint == after.fingerprint


def test_a_transcript_in_two_splits_is_counted(tmp_path: Path) -> None:
    ids = {fold: next(key for key, value in mosei_folds().items() if value == fold) for fold in ("train", "test")}
    entries = dict.fromkeys(ids.values(), ONE_SEGMENT)
    write_csd(tmp_path / "l.csd", "All Labels", entries, LABEL_NAMES)
    tokens = np.array([[b"oh"], [b"yes"], [b"sp"]])
    write_csd(tmp_path / "w.csd", "words", dict.fromkeys(ids.values(), (WORD_TIMES, tokens)))
    source = opened(tmp_path)
    videos_of(source)
    assert source.notes == {rules.TRANSCRIPT_SHARED: 1}


def test_the_official_folds() -> None:
    folds = list(mosei_folds().values())
    assert {fold: folds.count(fold) for fold in set(folds)} == {"train": 2_249, "valid": 300, "test": 678}
    mosi = [fold for video_id, fold in official_folds().items() if video_id not in mosei_folds()]
    assert {fold: mosi.count(fold) for fold in set(mosi)} == {"train": 52, "valid": 10, "test": 31}


@pytest.mark.data
def test_the_folds_of_cmu_mosi_have_the_videos_of_its_published_features(data_dir: Path) -> None:
    with np.load(data_dir / "mosi" / "mosi_2199.npz") as arrays:
        videos = set(arrays["video_id"].astype(str))
    assert official_folds().keys() - mosei_folds().keys() == videos


def test_memory_does_not_grow_with_the_number_of_videos(tmp_path: Path) -> None:
    def peak(n_videos: int) -> int:
        folder = tmp_path / str(n_videos)
        folder.mkdir()
        ids = [f"v{number}" for number in range(n_videos)]
        write_csd(folder / "l.csd", "All Labels", dict.fromkeys(ids, ONE_SEGMENT))
        write_csd(folder / "t.csd", "glove_vectors", dict.fromkeys(ids, (WORD_TIMES, np.ones((3, 300)))))
        voice = (np.linspace(0, 3, 2_001)[:, None] + np.array([0, 0.0015]), np.ones((2_001, 74)))
        write_csd(folder / "a.csd", "COVAREP", dict.fromkeys(ids, voice))
        source = opened(folder)
        tracemalloc.start()
        for _ in source.videos:
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(24) < 1.25 * peak(3)


def test_role_errors_say_what_to_do(tmp_path: Path) -> None:
    folder = csd_folder(tmp_path)
    write_csd(folder / "face2.csd", "OpenFace_2", {SHORT_ID: ([[0, 6]], np.ones((1, 2)))})
    with pytest.raises(
        DataError, match=r"one sequence of visual, but got 'FACET 4\.2' in .*, 'OpenFace_2' in .*--map visual"
    ):
        opened(folder)
    with pytest.raises(
        DataError, match=r"a sequence 'Open' for the role 'visual', but got .*'OpenFace_2'.*--map visual=ROOT"
    ):
        opened(folder, visual="Open")
    source = opened(folder, visual="openface 2")
    assert source.spaces[Modality.VISUAL].name == "csd-OpenFace_2"
    assert source.notes == {rules.with_names(rules.SEQUENCE_UNUSED, ["FACET 4.2"]): 1}
    (folder / "labels.csd").unlink()
    with pytest.raises(
        DataError, match=r"a sequence of labels such as 'All Labels', but got .*'words'.*--map labels=ROOT"
    ):
        opened(folder, visual="OpenFace_2")


def test_something_to_align_to_is_needed(tmp_path: Path) -> None:
    folder = csd_folder(tmp_path)
    (folder / "words.csd").unlink()
    (folder / "text.csd").unlink()
    with pytest.raises(DataError, match=r"text vectors or words to align to, but got 'FACET 4\.2', .*--map words=ROOT"):
        opened(folder)


def test_a_label_file_of_another_width_is_refused(tmp_path: Path) -> None:
    folder = csd_folder(tmp_path)
    with pytest.raises(DataError, match=r"7 columns \(sentiment, happy, .*\), 6 or 1 in 'COVAREP' of .*, but got 3"):
        opened(folder, labels="COVAREP", acoustic="FACET 4.2", visual="FACET 4.2")


def test_a_placeholder_is_missing_even_in_a_whole_video(tmp_path: Path) -> None:
    folder = csd_folder(tmp_path / "csd")
    with h5py.File(folder / "face.csd", "a") as file:
        features = file[f"FACET 4.2/data/{SHORT_ID}/features"]
        features[:, 1] = -1e38
        file[f"FACET 4.2/data/{LONG_ID}/features"][4, 0] = 1e38
    source = open_reader("csd", [folder])
    videos = videos_of(source)
    assert all(Modality.VISUAL not in each.features for each in videos[SHORT_ID].utterances)
    assert all(np.abs(each.features[Modality.VISUAL]).max() < 10 for each in videos[LONG_ID].utterances)
    assert source.notes[rules.VALUE_ABSURD] == 61


def test_root_names_may_begin_with_the_data_set(tmp_path: Path) -> None:
    write_csd(tmp_path / "a.csd", "CMU_MOSI_Opinion_Segment_Labels", {"v": ([[0, 3]], [[1.0]])})
    write_csd(tmp_path / "b.csd", "CMU_MOSI_TimestampedWordVectors", {"v": (WORD_TIMES, np.eye(3))})
    write_csd(tmp_path / "c.csd", "CMU_MOSI_VisualFacet_4.1", {"v": (WORD_TIMES, np.ones((3, 2)))})
    write_csd(tmp_path / "d.csd", "CMU_MOSI_COVAREP", {"v": (WORD_TIMES, np.ones((3, 2)))})
    assert set(open_reader("csd", [tmp_path]).spaces) == set(Modality)


def test_an_empty_entry_costs_one_video_one_stream(tmp_path: Path) -> None:
    folder = csd_folder(tmp_path / "csd")
    with h5py.File(folder / "voice.csd", "a") as file:
        entry = file[f"COVAREP/data/{SHORT_ID}"]
        del entry["features"], entry["intervals"]
        entry["features"], entry["intervals"] = np.zeros((0, 0)), np.zeros((0, 2))
    source = open_reader("csd", [folder])
    videos = videos_of(source)
    assert all(Modality.ACOUSTIC not in each.features for each in videos[SHORT_ID].utterances)
    assert all(Modality.ACOUSTIC in each.features for each in videos[LONG_ID].utterances)
    assert source.notes[rules.STREAM_MISSING[Modality.ACOUSTIC]] == 1


def test_an_empty_entry_of_labels_drops_its_video(tmp_path: Path) -> None:
    folder = csd_folder(tmp_path / "csd")
    with h5py.File(folder / "labels.csd", "a") as file:
        entry = file[f"All Labels/data/{SHORT_ID}"]
        del entry["features"], entry["intervals"]
        entry["features"], entry["intervals"] = np.zeros((0, 0)), np.zeros((0, 2))
    source = open_reader("csd", [folder])
    assert list(videos_of(source)) == [LONG_ID]
    assert source.notes[rules.VIDEO_EMPTY] == 1


def test_the_labels_of_cmu_mosi_are_known_and_folds_come_from_a_list(tmp_path: Path) -> None:
    folder = csd_folder(tmp_path / "csd")
    (folder / "labels.csd").unlink()
    segments = {key: ([[0, 3], [3, 6]], [[1.5], [-3.0]]) for key in (SHORT_ID, LONG_ID)}
    write_csd(folder / "labels.csd", "Opinion Segment Labels", segments)
    folds = write_text(tmp_path / "folds.csv", f"fold,video_id\nDev,{SHORT_ID}\ntrain,other\n")
    source = open_reader("csd", [folder, folds])
    assert source.splits == {SHORT_ID: "valid", LONG_ID: None}
    assert [each.sentiment for each in videos_of(source)[SHORT_ID].utterances] == [1.5, -3.0]
    assert source.notes == {rules.FOLD_UNLISTED: 1}
    assert folds in source.files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video_id,split\na,train\na,test\n", r"every video in one fold, but got 'a' in train and test \(line 3 of"),
        (
            "video_id,split\na,first\n",
            r"train, valid or test in column 'split', line 2 of .*, but got 'first'; correct",
        ),
        ("video_id,part\na,train\n", r"a column 'fold' in .*, but got video_id, part"),
    ],
)
def test_what_is_wrong_with_a_list_of_folds_is_said(tmp_path: Path, text: str, message: str) -> None:
    folds = write_text(tmp_path / "folds.csv", text)
    with pytest.raises(DataError, match=f"^Expected {message}"):
        open_reader("csd", [csd_folder(tmp_path / "csd"), folds])
