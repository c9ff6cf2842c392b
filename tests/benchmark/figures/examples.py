"""Benchmarks made by hand: the numbers of a figure are the ones written here."""

from __future__ import annotations

from mien.benchmark.view import BenchmarkView, SystemScores
from mien.schema import EMOTIONS

NAN = float("nan")
TRIVIAL = 0.5


def scores(sentiment=None, emotion=None):
    """One run's numbers: the same score everywhere in a part, or no part."""
    return {
        "sentiment": None
        if sentiment is None
        else {"accuracy_has0": sentiment, "weighted_f1_has0": sentiment - 0.01, "accuracy_non0": None},
        "emotion": None
        if emotion is None
        else {
            "weighted_accuracy_mean6": emotion,
            "weighted_f1_mean6": emotion + 0.1,
            "weighted_f1_at_f1_threshold_mean6": emotion + 0.2,
            "per_emotion": {name: _row(emotion + at / 100, at) for at, name in enumerate(EMOTIONS)},
            "no_emotion": _row(emotion, 6),
        },
    }


def _row(score, at):
    return {
        "weighted_accuracy": score,
        "weighted_f1": score + 0.1,
        "n_positive": 10 * (at + 1),
        "n_predicted_positive": round(100 * score) + at,
        "n_predicted_positive_at_f1_threshold": round(50 * score) + at,
    }


def protocol(seeds, **parts):
    """A protocol's part of results.json: one run per seed with the same numbers."""
    trivial = scores(*(None if parts.get(name) is None else TRIVIAL for name in ("sentiment", "emotion")))
    one = scores(**parts)
    path = "sentiment.accuracy_has0"
    spread = {
        "sentiment": one["sentiment"] and dict.fromkeys(("accuracy_has0", "weighted_f1_has0"), 0.02),
        "emotion": one["emotion"]
        and dict.fromkeys(("weighted_accuracy_mean6", "weighted_f1_at_f1_threshold_mean6"), 0.03),
    }
    return {
        "runs": [{"seed": seed, **one, "trivial": trivial} for seed in range(seeds)],
        "mean": {**one, "trivial": trivial},
        "sd": spread,
        "intervals": {} if one["sentiment"] is None else {path: [parts["sentiment"] - 0.04, parts["sentiment"] + 0.03]},
    }


def system(name, inputs=("text",), *, seeds=2, experimental=False, **protocols):
    """A system from ``clean={"sentiment": 0.7, "emotion": 0.6}`` and so on."""
    clean = protocols["clean"]
    return SystemScores(
        name=name,
        slug=name.replace(" ", "-"),
        model=name.split(" ", maxsplit=1)[0],
        inputs=inputs,
        tasks=tuple(clean),
        settings="{}",
        protocols={each: protocol(seeds, **parts) for each, parts in protocols.items()},
        experimental=experimental,
    )


def benchmark(*systems, reference=None, **facts):
    """With the first system as reference."""
    return BenchmarkView("talks", "test", reference or systems[0].name, systems, **facts)


def by_gid(axes, gid):
    """The artists that a figure marked with this id."""
    return [artist for artist in axes.get_children() if artist.get_gid() == gid]
