"""`mien import planted`: made-up videos of words whose labels follow one named rule: no person said any of it.

Each rule isolates one ability that a system may have or lack, so that training on it shows whether the system has it.
Every utterance hides a sign, +1 or -1 at random, in each modality; every word shows its sign along a direction of the
modality, with noise. An utterance's vector is the mean of its words.

In `alignment` the signs belong to words: the text marks two words, one +1 and one -1, all others 0; half of the words
have face +1, half -1, and so the voice. Every mean over the words is then noise around zero, whatever the label is:
only the face at the marked words tells it.

Positive and negative are equally frequent. The emotions follow the sentiment (`POSITIVE_EMOTIONS` present where it is
positive, the others where it is negative), so that either task tells the same about a system.

A small made-up set with a planted rule, for the demo and for tests: no person ever said any of it.

Utterance by utterance; the sets of words of `mien import planted` follow other rules.

Every utterance i has three hidden signs, +1 or -1 at random: what is said (w), how (p), the face (f). Each is shown
by one modality as a noisy vector. The rule crosses modalities and utterances:

- sentiment is w[i] * p[i-1]: the words count by the voice of the utterance before (of the second, for the first one)
- the emotions add the face of the utterance after, f[i+1] (of the last but one, for the last), see `_emotions`

No single utterance tells anything about its own labels; neither does any single modality.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.errors import SettingsError, UnknownNameError
from mien.readers.intake import Intake, SourceOptions
from mien.readers.rules import attach_rows
from mien.schema import EMOTIONS, FeatureSpace, FloatArray, Level, Modality, Utterance, Video

MIN_UTTERANCES, MAX_UTTERANCES = 2, 6
# Even, so that half of the words can have each sign.
WORD_COUNTS = (4, 6, 8)
POSITIVE_EMOTIONS = ("happy", "surprise")
# one sign per utterance, by modality
Signs = Mapping[Modality, FloatArray]


def before(signs: FloatArray) -> FloatArray:
    """Sign of the utterance before; of the second, for the first one, whose own sign would tell its label."""
    return np.append(signs[1], signs[:-1])


@dataclass(frozen=True)
class Rule:
    """What decides the sentiment of an utterance."""

    description: str
    # signs of a video's utterances -> its sentiments (utterance,); None: the words decide, see `_aligned_words`
    sentiment: Callable[[Signs], FloatArray] | None = None


RULES: dict[str, Rule] = {
    "text": Rule("one modality of the same utterance: the text's sign", lambda signs: signs[Modality.TEXT]),
    "fusion": Rule(
        "two modalities of the same utterance: the voice's sign times the face's",
        lambda signs: signs[Modality.ACOUSTIC] * signs[Modality.VISUAL],
    ),
    "context": Rule(
        "one modality of another utterance: the sign of the text before", lambda signs: before(signs[Modality.TEXT])
    ),
    "context-fusion": Rule(
        "two modalities of two utterances: the text's sign times that of the voice before",
        lambda signs: signs[Modality.TEXT] * before(signs[Modality.ACOUSTIC]),
    ),
    "alignment": Rule(
        "two modalities of the same word: whether the face agrees with the text where the text is marked"
    ),
}
# option -> values it takes, the default first
FIELDS: dict[str, tuple[str, ...]] = {"rule": tuple(RULES), "videos": ("300",), "seed": ("0",)}


def open_planted_words(_paths: Sequence[Path], options: SourceOptions) -> Intake:
    """Make videos of 2 to 6 utterances of 4, 6 or 8 words, the same for a rule, a number of videos and a seed.

    Options in `options.mapping`: `rule` (a key of `RULES`), `videos` (how many), `seed`.
    Raises UnknownNameError for another rule, SettingsError where a number is none.
    """
    chosen = {name: values[0] for name, values in FIELDS.items()} | dict(options.mapping)
    if chosen["rule"] not in RULES:
        raise UnknownNameError("the planted rule (--map rule=NAME)", chosen["rule"], RULES)
    n_videos, seed = _whole_number(chosen, "videos", 1), _whole_number(chosen, "seed", 0)
    rng = np.random.default_rng(seed)
    directions = {modality: unit(rng.normal(size=size)) for modality, size in N_FEATURES.items()}
    recipe = {"source": "planted", "rule": chosen["rule"], "seed": seed, "pooling": "mean of the words"}
    level = Level.WORD if options.words else Level.UTTERANCE
    splits = planted_splits(n_videos)
    return Intake(
        name="planted",
        splits=splits,
        spaces={m: FeatureSpace(m, f"planted-words-{m}", n, level=level, recipe=recipe) for m, n in N_FEATURES.items()},
        videos=_videos(list(splits), RULES[chosen["rule"]], directions, rng, options.words),
        mapping=chosen,
        licence_note="Generated by mien: a planted rule, not people.",
    )


def _whole_number(chosen: Mapping[str, str], name: str, least: int) -> int:
    if not chosen[name].isdecimal() or int(chosen[name]) < least:
        raise SettingsError(
            f"Expected a whole number from {least} on after --map {name}=, but got {chosen[name]!r}; "
            f"write for example --map {name}={FIELDS[name][0]}"
        )
    return int(chosen[name])


def _videos(
    names: Sequence[str],
    rule: Rule,
    directions: Mapping[Modality, FloatArray],
    rng: np.random.Generator,
    keep_words: bool,
) -> Iterator[Video]:
    for name in names:
        n_words = rng.choice(WORD_COUNTS, size=int(rng.integers(MIN_UTTERANCES, MAX_UTTERANCES + 1)))
        sentiment, signs = _signs(rule, n_words, rng)
        utterances = []
        for i, n in enumerate(n_words.tolist()):
            present = [(emotion in POSITIVE_EMOTIONS) == (sentiment[i] > 0) for emotion in EMOTIONS]
            utterance = Utterance(
                index=i,
                start_s=i * UTTERANCE_S,
                end_s=(i + 1) * UTTERANCE_S,
                transcript=" ".join([f"{name}-{i}", *["word"] * (n - 1)]),
                sentiment=float(sentiment[i]),
                emotions=np.array(present, dtype=np.float64),
            )
            for modality, direction in directions.items():
                rows = np.outer(signs[modality][i], direction) + rng.normal(scale=NOISE_SD, size=(n, len(direction)))
                # as float32 first: the mean is that of the words as they are stored
                attach_rows(utterance, modality, rows.astype(np.float32), keep_words, Counter())
            utterances.append(utterance)
        yield Video(name, utterances)


def _signs(
    rule: Rule, n_words: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, dict[Modality, list[FloatArray]]]:
    """Sentiments (utterance,), and per modality the sign of every word, one array (word,) per utterance."""
    if rule.sentiment is None:
        sentiment = rng.choice([-1.0, 1.0], size=len(n_words))
        by_utterance = [_aligned_words(int(n), agree, rng) for n, agree in zip(n_words, sentiment, strict=True)]
        return sentiment, {modality: [each[modality] for each in by_utterance] for modality in Modality}
    hidden = {modality: rng.choice([-1.0, 1.0], size=len(n_words)) for modality in Modality}
    return rule.sentiment(hidden), {
        modality: [np.full(n, sign) for n, sign in zip(n_words, signs, strict=True)]
        for modality, signs in hidden.items()
    }


def _aligned_words(n: int, agree: float, rng: np.random.Generator) -> dict[Modality, FloatArray]:
    """Signs (word,) per modality: the face at the marked words is that of the text, times `agree`."""
    halves = np.repeat([1.0, -1.0], n // 2)
    order = rng.permutation(n)
    text, face = np.zeros(n), np.empty(n)
    text[order[:2]] = [1.0, -1.0]
    face[order] = [agree, -agree, *rng.permutation(halves[1:-1])]
    return {Modality.TEXT: text, Modality.ACOUSTIC: rng.permutation(halves), Modality.VISUAL: face}


N_FEATURES = {Modality.TEXT: 7, Modality.ACOUSTIC: 5, Modality.VISUAL: 3}
NOISE_SD = 0.3
MIN_UTTERANCES, MAX_UTTERANCES = 3, 11
SPLIT_SHARES = {"train": 0.7, "valid": 0.15, "test": 0.15}
UTTERANCE_S = 2.0


def open_planted(n_videos: int = 300, seed: int = 0) -> Intake:
    """`n_videos` videos of 3 to 11 utterances, the same for a seed."""
    rng = np.random.default_rng(seed)
    splits = planted_splits(n_videos)
    directions = {modality: unit(rng.normal(size=size)) for modality, size in N_FEATURES.items()}
    spaces = {
        modality: FeatureSpace(modality, f"planted-{modality}", size, recipe={"extractor": "planted", "seed": seed})
        for modality, size in N_FEATURES.items()
    }
    note = "Generated by mien: a planted rule, not people."
    return Intake("planted", splits, spaces, _context_videos(splits, directions, rng), licence_note=note)


def _context_videos(
    splits: dict[str, str | None], directions: dict[Modality, FloatArray], rng: np.random.Generator
) -> Iterator[Video]:
    for name in splits:
        n = int(rng.integers(MIN_UTTERANCES, MAX_UTTERANCES + 1))
        words, voice, face = rng.choice([-1.0, 1.0], size=(3, n))
        # At both ends the neighbour on the other side stands in: an utterance's own voice or face would tell its label.
        voice_before, face_after = np.append(voice[1], voice[:-1]), np.append(face[1:], face[-2])
        sentiment = words * voice_before
        emotions = _emotions(sentiment, words, voice_before, face_after)
        utterances = []
        for i in range(n):
            utterance = Utterance(
                index=i,
                start_s=i * UTTERANCE_S,
                end_s=(i + 1) * UTTERANCE_S,
                transcript=f"planted utterance {i}",
                sentiment=float(sentiment[i]),
                emotions=emotions[i],
            )
            for modality, sign in ((Modality.TEXT, words), (Modality.ACOUSTIC, voice), (Modality.VISUAL, face)):
                noise = rng.normal(scale=NOISE_SD, size=N_FEATURES[modality])
                utterance.features[modality] = (sign[i] * directions[modality] + noise).astype(np.float32)
            utterances.append(utterance)
        yield Video(name, utterances)


def _emotions(sentiment: FloatArray, words: FloatArray, voice_before: FloatArray, face_after: FloatArray) -> FloatArray:
    """(utterance, 6) intensities 0 or 1."""
    rules = {
        "anger": (sentiment < 0) & (face_after > 0),
        "disgust": voice_before * face_after < 0,
        "fear": words * face_after < 0,
        "happy": (sentiment > 0) & (face_after > 0),
        "sad": (sentiment < 0) & (face_after < 0),
        "surprise": (sentiment > 0) & (face_after < 0),
    }
    return np.stack([rules[name] for name in EMOTIONS], axis=1).astype(np.float64)


def planted_splits(n_videos: int) -> dict[str, str | None]:
    """Video id -> split, in the shares of `SPLIT_SHARES`."""
    bounds = np.cumsum([round(share * n_videos) for share in SPLIT_SHARES.values()])
    names = list(SPLIT_SHARES)
    return {
        f"planted-{number:04d}": names[min(int(np.searchsorted(bounds, number, side="right")), 2)]
        for number in range(n_videos)
    }


def unit(vector: FloatArray) -> FloatArray:
    """The vector at length 1."""
    result: FloatArray = vector / np.linalg.norm(vector)
    return result
