"""Analyses as `mien analyze` makes them: one like real life, and the odd ones a page must survive."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.schema import EMOTION_OUTPUTS
from mien.video.analysis import Analysis, Answer, ModelFacts, Track, TrackSource, UtteranceAnalysis, VideoFacts

THRESHOLDS = dict(zip(EMOTION_OUTPUTS, (0.21, 0.19, 0.08, 0.52, 0.25, 0.11, 0.34), strict=True))
SAID = (
    "Hi everyone, so today I finally want to talk about the new trail camera I bought.",
    "I waited six weeks for it, and I was honestly so excited when the box arrived.",
    "Then I opened it, and the mounting strap was just missing.",
    "I wrote to them twice and nobody answered.",
    "That is what makes me angry, because it costs two hundred dollars.",
    "Um.",
    "But the pictures, wow, I did not expect that at all!",
    "Look at this fox, you can see every single hair, it is beautiful.",
    "The battery is a different story.",
    "After three cold nights it was empty, and I missed the deer I had waited for the whole autumn, "
    "which made me really sad, to be honest.",
    "I am a little afraid it will not last the winter.",
    "So would I buy it again? Yes, I think I would, and I would bring my own strap.",
)
STARTS_S = (0.4, 5.9, 11.8, 16.1, 19.6, 24.2, 25.6, 30.0, 35.2, 37.9, 46.4, 50.3)
ENDS_S = (5.5, 11.2, 15.6, 19.1, 24.0, 24.9, 29.6, 34.7, 37.4, 46.0, 49.7, 56.8)
POSITIVE = (0.81, 0.9, 0.22, 0.14, 0.08, 0.47, 0.88, 0.95, 0.36, 0.12, 0.27, 0.79)
# in the order of EMOTION_OUTPUTS
EMOTIONS = (
    (0.05, 0.04, 0.02, 0.66, 0.08, 0.07, 0.28),
    (0.04, 0.03, 0.05, 0.81, 0.05, 0.18, 0.12),
    (0.33, 0.24, 0.03, 0.14, 0.31, 0.16, 0.18),
    (0.48, 0.31, 0.03, 0.06, 0.29, 0.05, 0.17),
    (0.74, 0.42, 0.04, 0.03, 0.22, 0.06, 0.05),
    (0.09, 0.07, 0.05, 0.21, 0.13, 0.06, 0.52),
    (0.04, 0.03, 0.04, 0.77, 0.03, 0.46, 0.08),
    (0.02, 0.02, 0.02, 0.91, 0.06, 0.13, 0.05),
    (0.17, 0.13, 0.05, 0.22, 0.24, 0.04, 0.41),
    (0.16, 0.11, 0.07, 0.05, 0.71, 0.05, 0.11),
    (0.11, 0.08, 0.39, 0.08, 0.38, 0.06, 0.16),
    (0.05, 0.04, 0.03, 0.69, 0.07, 0.06, 0.21),
)
DURATION_S = 58.0
MODALITIES = ("text", "acoustic", "visual")
ATTACK = (
    "</script><script>window.hacked = 1</script><img src=x onerror=\"window.hacked = 2\"> & 'quoted' {{script}} <!--"
)


def two_classes(positive):
    """Sentiment of two classes with this probability of "positive"."""
    label = "positive" if positive >= 0.5 else "negative"
    return Answer(label, {"negative": 1 - positive, "positive": positive})


def softmax_rows(scores):
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def attention_of(n_utterances, directions, seed=0, missing=()):
    """Rows that sum to 1, peaked near the target; `missing` are (modality, position) that neither ask nor answer."""
    rng = np.random.default_rng(seed)
    places = np.arange(n_utterances)
    near = -np.abs(places[:, None] - places[None, :]) / 2.5
    found = {}
    for asks, on in directions:
        scores = near + 1.3 * rng.standard_normal((n_utterances, n_utterances))
        for modality, position in missing:
            if modality == on:
                scores[:, position] = -np.inf
        weights = softmax_rows(scores)
        for modality, position in missing:
            if modality == asks:
                weights[position] = np.nan
        found[f"{asks}->{on}"] = weights
    return found


PAIRS = tuple((one, other) for one in MODALITIES for other in MODALITIES if one != other)


def tracks_of(duration_s, starts_s, ends_s, seed=0):
    rng = np.random.default_rng(seed)
    times_s = np.arange(0, duration_s, 0.05)
    speaks = np.zeros(len(times_s), dtype=bool)
    for start_s, end_s in zip(starts_s, ends_s, strict=True):
        speaks |= (times_s >= start_s) & (times_s < end_s)
    syllables = np.sin(times_s * 9.1) + 0.6 * np.sin(times_s * 23.0)
    loudness = np.where(speaks, -24 + 5 * syllables, -58.0) + rng.normal(0, 1.6, len(times_s))
    voiced = speaks & (syllables > -0.5)
    pitch = np.where(voiced, 165 + 28 * np.sin(times_s * 0.9) + 9 * syllables, np.nan)
    frames_s = np.arange(0, duration_s, 0.1)
    there = ~((frames_s > 24.0) & (frames_s < 26.0))

    def slow(share):
        noise = np.convolve(rng.standard_normal(len(frames_s) + 40), np.ones(41) / 41, "valid")
        return np.where(there, np.clip(share + 1.5 * noise, 0, 1), np.nan)

    return (
        Track(
            "Loudness",
            "dB",
            TrackSource.VOICE,
            times_s,
            loudness,
            note="level of the sound in frames of 50 ms",
            axis=(-70.0, 0.0),
        ),
        Track("Pitch", "Hz", TrackSource.VOICE, times_s, pitch, note="fundamental frequency of voiced frames"),
        Track(
            "Face in view",
            "share",
            TrackSource.FACE,
            frames_s,
            there.astype(float),
            note="1 where a face is found",
            axis=(0.0, 1.0),
        ),
        Track(
            "Smile",
            "",
            TrackSource.FACE,
            frames_s,
            slow(0.3),
            note="mean of the blendshapes mouthSmileLeft and Right",
            axis=(0.0, 1.0),
        ),
        Track(
            "Brows raised", "", TrackSource.FACE, frames_s, slow(0.25), note="blendshape browInnerUp", axis=(0.0, 1.0)
        ),
    )


def graded() -> Analysis:
    """Four of the utterances by a model that predicts degrees beside the classes; the last one could not be."""
    whole = realistic()
    rows = [
        replace(
            row,
            outputs={
                **row.outputs,
                "sentiment_intensity": {"sentiment": 0.5 * number - 1.25},
                "emotion_intensity": {"anger": 0.25 * number, "happy": 3.0},
            },
        )
        for number, row in enumerate(whole.utterances[:3])
    ]
    rows.append(replace(whole.utterances[3], answers={}, outputs={}, labels=(), contributions={}))
    tasks = ("sentiment", "emotion", "sentiment_intensity", "emotion_intensity")
    return replace(whole, utterances=tuple(rows), model=replace(whole.model, tasks=tasks), attention={})


def with_further_task() -> Analysis:
    """One utterance by a model that predicts something else beside the paper's tasks."""
    whole = realistic()
    row = whole.utterances[0]
    row = replace(row, outputs={**row.outputs, "energy": {"low": 0.9, "high": 0.25}})
    return replace(whole, utterances=(row,), attention={})


def realistic(video: Path | None = None) -> Analysis:
    """Twelve utterances, three modalities, attention of every pair, five tracks; the face is away during the sixth."""
    rng = np.random.default_rng(7)
    rows = []
    for index, (said, start_s, end_s) in enumerate(zip(SAID, STARTS_S, ENDS_S, strict=True)):
        emotions = dict(zip(EMOTION_OUTPUTS, EMOTIONS[index], strict=True))
        missing = {"visual": "no face in 14 of 14 sampled frames"} if index == 5 else {}
        changes = {}
        for modality, size in zip(MODALITIES, (0.19, 0.06, 0.08), strict=True):
            if modality not in missing:
                changes[modality] = {
                    name: float(np.clip(rng.normal(0, size), -0.5, 0.5)) for name in ("sentiment", *EMOTION_OUTPUTS)
                }
        rows.append(
            UtteranceAnalysis(
                index=index,
                start_s=start_s,
                end_s=end_s,
                transcript=said,
                answers={"sentiment": two_classes(POSITIVE[index])},
                outputs={"emotion": emotions},
                labels=tuple(name for name in EMOTION_OUTPUTS if emotions[name] >= THRESHOLDS[name]),
                missing=missing,
                contributions=changes,
            )
        )
    return Analysis(
        video=VideoFacts(video.name if video else "trail-camera-review.mp4", DURATION_S, video),
        model=ModelFacts(
            name="cim",
            inputs=MODALITIES,
            tasks=("sentiment", "emotion"),
            thresholds=THRESHOLDS,
            protocol="clean: thresholds chosen on the valid split, test opened once",
            caveats=("An example: numbers made up to show the page, not measured.",),
            facts={
                "Trained on": "CMU-MOSEI, official train split, 16,327 utterances",
                "Features": "minilm-l6-v2 (384), egemaps (88), face-blendshapes (110)",
                "Citation": "Akhtar et al., Multi-task Learning for Multi-modal Emotion Recognition and Sentiment "
                "Analysis, NAACL 2019",
            },
        ),
        utterances=tuple(rows),
        attention=attention_of(len(rows), PAIRS, missing=(("visual", 5),)),
        tracks=tracks_of(DURATION_S, STARTS_S, ENDS_S),
        notes=("One of 12 utterances has no face.", "Speech was recognised by Whisper tiny.en; words may be wrong."),
    )


def words_only(video: Path | None = None) -> Analysis:
    """One modality that attends to itself; voice and face are evidence beside it. As the model in the package."""
    full = realistic(video)
    model = replace(
        full.model,
        name="mosei-text",
        inputs=("text",),
        caveats=("This model hears words only: voice and face are measured beside it and do not change its answers.",),
        facts={},
    )
    rows = [replace(row, contributions={}, missing={}) for row in full.utterances]
    rows[5] = replace(
        rows[5], transcript="", answers={}, outputs={}, labels=(), missing={"text": "no speech was recognised"}
    )
    directions = (("text", "text"),)
    attention = attention_of(len(rows), directions, missing=(("text", 5),))
    return replace(full, model=model, utterances=tuple(rows), attention=attention)


def long(n_utterances=200) -> Analysis:
    """Half an hour, two modalities."""
    rng = np.random.default_rng(1)
    rows = []
    for index in range(n_utterances):
        positive = float(rng.random())
        emotions = dict(zip(EMOTION_OUTPUTS, (rng.random(7) ** 2).tolist(), strict=True))
        rows.append(
            UtteranceAnalysis(
                index=2 * index,
                start_s=9.0 * index,
                end_s=9.0 * index + float(rng.uniform(2, 9)),
                transcript=" ".join(SAID[(index * 5 + k) % len(SAID)] for k in range(1 + index % 3)),
                answers={"sentiment": two_classes(positive)},
                outputs={"emotion": emotions},
                labels=tuple(name for name in EMOTION_OUTPUTS if emotions[name] >= THRESHOLDS[name]),
            )
        )
    duration_s = 9.0 * n_utterances
    starts_s, ends_s = [row.start_s for row in rows], [row.end_s for row in rows]
    full = realistic()
    return replace(
        full,
        video=VideoFacts("a-long-talk.mp4", duration_s),
        model=replace(full.model, inputs=("text", "visual")),
        utterances=tuple(rows),
        attention=attention_of(n_utterances, (("text", "visual"), ("visual", "text"))),
        tracks=tracks_of(duration_s, starts_s, ends_s),
    )


def hostile() -> Analysis:
    """One utterance whose every text tries to become markup, and words without end."""
    row = UtteranceAnalysis(
        index=3,
        start_s=0.0,
        end_s=0.0,
        transcript=f"{ATTACK}\n\n00:00.000 --> 00:09.000\n{'Donaudampfschiff' * 40} 你好 مرحبا 👩‍👩‍👧 \u2028 \0",
        answers={"sentiment": two_classes(0.0)},
        outputs={"emotion": {"anger": 1.0, ATTACK: 0.5}},
        labels=("anger", ATTACK),
        missing={"visual": ATTACK},
    )
    track = Track(ATTACK, ATTACK, TrackSource.FACE, np.array([0.0, 1.0]), np.array([np.nan, np.nan]), note=ATTACK)
    return Analysis(
        video=VideoFacts(f"{ATTACK}.mp4", 0.0, Path("javascript:alert(1)#? %41.mp4")),
        model=ModelFacts(
            ATTACK,
            ("text", "visual"),
            ("sentiment",),
            thresholds={"anger": 1.0},
            caveats=(ATTACK,),
            facts={ATTACK: ATTACK},
        ),
        utterances=(row,),
        attention={"text->visual": np.array([[1.0]])},
        tracks=(track, Track("empty", "", TrackSource.VOICE, np.array([]), np.array([]))),
        notes=(ATTACK,),
    )


def silent() -> Analysis:
    """Nothing was said and nothing measured."""
    return Analysis(
        video=VideoFacts("silence.mp4", 4.0),
        model=ModelFacts("mosei-text", ("text",), ("sentiment", "emotion")),
        utterances=(),
    )
