"""`mien import planted`: labels follow the rule that was asked for, and nothing else tells them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.readers.examples import videos_of

from mien.commands.import_ import ImportOptions, import_dataset
from mien.errors import SettingsError, UnknownNameError
from mien.readers import open_reader
from mien.readers.base import ReaderOptions
from mien.readers.planted import N_FEATURES, RULES
from mien.schema import EMOTIONS, Level, Modality

every_rule = pytest.mark.parametrize("rule", RULES)


def opened(rule, videos=401, seed=0, **options):
    return open_reader(
        "planted", [], ReaderOptions({"rule": rule, "videos": str(videos), "seed": str(seed)}, **options)
    )


def made(rule, **options):
    return list(videos_of(opened(rule, **options)).values())


def utterances(videos):
    return [utterance for video in videos for utterance in video.utterances]


def word_signs(videos, modality):
    """Projections of all words on the direction of largest spread, about -1, 0 or 1; its sense is arbitrary."""
    words = [utterance.words[modality] for utterance in utterances(videos)]
    rows = np.concatenate(words).astype(float)
    values, directions = np.linalg.eigh(rows.T @ rows)
    signs = np.rint(rows @ directions[:, np.argmax(values)])
    return np.split(signs, np.cumsum([len(each) for each in words])[:-1])


def utterance_signs(videos, modality):
    """One sign per utterance, as a list per video."""
    signs = np.array([np.sign(words.sum()) for words in word_signs(videos, modality)])
    return np.split(signs, np.cumsum([len(video.utterances) for video in videos])[:-1])


def of_neighbour(signs):
    """Sign of utterance i - 1; of utterance 1 for utterance 0."""
    return np.array([signs[abs(i - 1)] for i in range(len(signs))])


def expected(rule, videos):
    """The sentiments that the rule gives to the signs read back from the vectors, but for one common sign."""
    if rule == "alignment":
        text, face = word_signs(videos, Modality.TEXT), word_signs(videos, Modality.VISUAL)
        # a word's sign is read wrongly now and then; the sum over the two marked words still has the right sign
        return np.array([np.sign((t * f).sum()) for t, f in zip(text, face, strict=True)])
    text, voice, face = (utterance_signs(videos, modality) for modality in Modality)
    per_video = {
        "text": text,
        "fusion": [v * f for v, f in zip(voice, face, strict=True)],
        "context": [of_neighbour(t) for t in text],
        "context-fusion": [t * of_neighbour(v) for t, v in zip(text, voice, strict=True)],
    }
    return np.concatenate(per_video[rule])


@every_rule
def test_the_sentiment_follows_the_rule(rule):
    videos = made(rule)
    sentiment = np.array([utterance.sentiment for utterance in utterances(videos)])
    agreement = np.mean(expected(rule, videos) == sentiment)
    # words alone are noisy, so that a mark is missed in 10 % of them; utterances are means of at least four
    assert max(agreement, 1 - agreement) > (0.93 if rule == "alignment" else 0.999)


@every_rule
def test_both_classes_are_equally_frequent_and_the_emotions_follow_them(rule):
    all_of_them = utterances(made(rule))
    sentiment = np.array([utterance.sentiment for utterance in all_of_them])
    assert set(sentiment) == {-1.0, 1.0}
    assert abs(sentiment.mean()) < 5 / np.sqrt(len(sentiment))
    for name, emotion in zip(EMOTIONS, np.array([u.emotions for u in all_of_them]).T, strict=True):
        positive = name in ("happy", "surprise")
        np.testing.assert_array_equal(emotion, (sentiment > 0) == positive)


@every_rule
def test_an_utterance_is_the_mean_of_its_words(rule):
    for utterance in utterances(made(rule, videos=23)):
        assert {len(rows) for rows in utterance.words.values()} <= {4, 6, 8}
        assert len({len(rows) for rows in utterance.words.values()}) == 1
        assert len(utterance.transcript.split()) == len(utterance.words[Modality.TEXT])
        for modality, rows in utterance.words.items():
            np.testing.assert_allclose(utterance.features[modality], rows.astype(float).mean(axis=0), atol=1e-7)


def tells(rows, labels):
    """Accuracy of boosted trees on rows they have not seen."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    half = len(rows) // 2
    return (
        HistGradientBoostingClassifier(max_iter=60, random_state=0)
        .fit(rows[:half], labels[:half])
        .score(rows[half:], labels[half:])
    )


def means_and_labels(rule):
    found = utterances(made(rule, videos=900))
    rows = np.stack([np.concatenate([u.features[modality] for modality in Modality]) for u in found])
    return rows, np.array([u.sentiment for u in found])


@pytest.mark.parametrize(
    ("rule", "known"), [("text", True), ("fusion", True), ("context", False), ("alignment", False)]
)
def test_the_means_of_one_utterance_tell_what_the_rule_lets_them(rule, known):
    accuracy = tells(*means_and_labels(rule))
    # some 1,800 utterances: chance has a s.d. of 1.2 %
    assert accuracy > 0.95 if known else abs(accuracy - 0.5) < 0.05


def test_alignment_leaves_nothing_in_any_pooling_of_one_modality():
    videos = made("alignment", videos=900)
    found = utterances(videos)
    labels = np.array([u.sentiment for u in found])
    for modality in Modality:
        words = [u.words[modality] for u in found]
        rows = np.stack([np.concatenate([w.mean(axis=0), w.std(axis=0), w.max(axis=0), w[0], w[-1]]) for w in words])
        assert abs(tells(rows, labels) - 0.5) < 0.05


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "alignment"])
def test_only_the_signs_that_the_rule_names_tell_anything(rule):
    videos = made(rule, videos=900)
    sentiment = np.array([utterance.sentiment for utterance in utterances(videos)])
    mine = {m: utterance_signs(videos, m) for m in Modality}
    signs = {m: np.concatenate(each) for m, each in mine.items()}
    signs |= {f"{m} before": np.concatenate([of_neighbour(each) for each in mine[m]]) for m in Modality}
    told_by = {
        "text": {Modality.TEXT},
        "fusion": {Modality.ACOUSTIC, Modality.VISUAL},
        "context": {"text before"},
        "context-fusion": {Modality.TEXT, "acoustic before"},
    }[rule]
    for size in (1, 2, 3):
        for names in itertools.combinations(signs, size):
            product = np.prod([signs[name] for name in names], axis=0)
            correlation = abs((product * sentiment).mean())
            assert correlation > 0.99 if set(names) == told_by else correlation < 5 / np.sqrt(len(sentiment))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    def table(name, **mapping):
        dataset = import_dataset("planted", [], tmp_path / name, ImportOptions(mapping={"videos": "20", **mapping}))
        return (dataset.folder / "utterances.parquet").read_bytes(), dataset.facts.spaces[Modality.TEXT].fingerprint

    first = table("a", rule="fusion")
    assert first == table("b", rule="fusion", seed="0")
    for name, other in (("seed", {"rule": "fusion", "seed": "1"}), ("rule", {"rule": "context"})):
        mine, fingerprint = table(name, **other)
        assert mine != first[0]
        assert fingerprint != first[1]


def test_splits_shares_and_sizes():
    source = opened("text", videos=100)
    counts = {split: list(source.splits.values()).count(split) for split in ("train", "valid", "test")}
    assert counts == {"train": 70, "valid": 15, "test": 15}
    lengths = {len(video.utterances) for video in source.videos}
    assert lengths == {2, 3, 4, 5, 6}
    assert {m: space.n_features for m, space in source.spaces.items()} == N_FEATURES
    assert source.mapping == {"rule": "text", "videos": "100", "seed": "0"}
    assert "not people" in source.licence_note


def test_without_words_the_utterances_are_the_same():
    with_words, without = made("alignment", videos=5), made("alignment", videos=5, words=False)
    assert opened("alignment", words=False).spaces[Modality.TEXT].level is Level.UTTERANCE
    for one, other in zip(utterances(with_words), utterances(without), strict=True):
        assert not other.words
        np.testing.assert_array_equal(one.features[Modality.VISUAL], other.features[Modality.VISUAL])


def test_wrong_options_are_refused():
    with pytest.raises(UnknownNameError, match=r"planted rule .* but got 'fussion'; did you mean 'fusion'"):
        opened("fussion")
    for name, value in (("videos", "0"), ("videos", "many"), ("seed", "-1")):
        with pytest.raises(SettingsError, match=rf"Expected a whole number .*--map {name}=, but got '{value}'"):
            open_reader("planted", [], ReaderOptions({name: value}))
