"""`mien analyze`: a raw video -> clips -> features -> predictions with their evidence -> report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.errors import DataError, MienError
from mien.evaluation import Decisions
from mien.features import load_visual_extractor
from mien.media import Clips, MediaSettings, clips_of, load_recognizer
from mien.reports import (
    OUTPUTS,
    Analysis,
    ModelFacts,
    Sentiment,
    Track,
    UtteranceAnalysis,
    VideoFacts,
    write_outputs,
)
from mien.schema import EMOTIONS, FloatArray, Modality, Task
from mien.tables import Predictions, Run, SplitColumns, stack_videos
from mien.training import NetworkPredictor, load_predictor
from mien.workflows.evidence import face_tracks, voice_tracks
from mien.workflows.featurise import Extractors, Featurised, extractors_for, featurise, watch
from mien.workflows.shipped import decisions_of, find_run

DEFAULT_MODEL = "mosei-text"
# Without a word said, a film is still cut into clips of this length, so that voice and face can be shown.
SILENT_CLIP_S = 5.0
WORDS_ONLY = "It hears words only: voice and face are measured beside it and have no say in the prediction."
EXPRESSED = "A probability is about what annotators would read into the words, not about what the person feels inside."
Advance = Callable[[str], None]


@dataclass(frozen=True)
class AnalyzeRequest:
    """What to analyse with. `model` is a shipped name or a run folder."""

    model: str = DEFAULT_MODEL
    subtitles: Path | None = None
    media: MediaSettings = dataclasses.field(default_factory=lambda: MediaSettings(silent_clip_s=SILENT_CLIP_S))
    # measure voice and face also where the model does not use them
    tracks: bool = True


@dataclass(frozen=True)
class Analyst:
    """Everything loaded once and used for every video."""

    run: Run
    predictor: NetworkPredictor
    decisions: Decisions
    extractors: Extractors


def analyze(
    videos: Sequence[str | Path], out: str | Path, request: AnalyzeRequest | None = None, advance: Advance | None = None
) -> tuple[dict[Path, Analysis], dict[Path, str]]:
    """Analyse videos; each gets its outputs in `out`, or in a folder of its own below `out` when there are several.

    One bad video never stops the rest. Returns the analyses and, for the videos that failed, why. Raises what concerns
    all of them: an unknown model, missing weights, features that raw video cannot give.
    """
    request = request or AnalyzeRequest()
    tell = advance or (lambda _text: None)
    analyst = load_analyst(request.model)
    if request.subtitles is None:
        tell("loading speech recognition")
        recognizer = load_recognizer(request.media.speech)
    else:
        recognizer = None
    done: dict[Path, Analysis] = {}
    failed: dict[Path, str] = {}
    for path in map(Path, videos):
        folder = Path(out) if len(videos) == 1 else Path(out) / path.stem
        try:
            tell(f"{path.name}: listening")
            clips = clips_of(path, request.subtitles, request.media, recognizer=recognizer)
            tell(f"{path.name}: {len(clips.clips)} utterances, extracting and predicting")
            done[path] = analyze_clips(path, clips, analyst, tracks=request.tracks)
            write_outputs(folder, done[path])
        except MienError as error:
            failed[path] = str(error)
    return done, failed


def load_analyst(model: str) -> Analyst:
    """Load a shipped checkpoint or a run, and the extractors that its feature spaces name."""
    run = find_run(model)
    predictor = load_predictor(run)
    return Analyst(run, predictor, decisions_of(run), extractors_for(run.spaces))


def analyze_clips(path: Path, clips: Clips, analyst: Analyst, *, tracks: bool = True) -> Analysis:
    """Predict and explain one video whose utterances are known. Raises DataError if it has none."""
    if not clips.clips:
        raise DataError(f"Expected somebody to speak in {path}, but heard nobody; give --subtitles")
    found = featurise(path, path.stem, clips.clips, analyst.extractors)
    columns = stack_videos([found.video], analyst.run.spaces)
    predictions = analyst.predictor.predict(columns)
    without = _leave_one_out(columns, analyst)
    attention = analyst.predictor.attention(columns)[path.stem]
    n = len(clips.clips)
    return Analysis(
        video=VideoFacts(path.name, clips.duration_s, path),
        model=_model_facts(analyst),
        utterances=tuple(_utterance(row, found, predictions, without, analyst.decisions) for row in range(n)),
        attention={name: _shown_attention(name, weights[:n, :n], columns) for name, weights in attention.items()},
        tracks=(*voice_tracks(path), *_face_tracks(path, found, analyst)) if tracks else (),
        notes=tuple(f"{text}: {count}" for text, count in sorted(clips.notes.items())),
    )


def _face_tracks(path: Path, found: Featurised, analyst: Analyst) -> tuple[Track, ...]:
    used = analyst.extractors.visual is not None and analyst.extractors.visual.space.name == "face"
    if used:
        return face_tracks(found.frame_times_s, found.frame_vectors, used_by_model=True)
    return face_tracks(*watch(path, load_visual_extractor("face")), used_by_model=False)


def _shown_attention(name: str, weights: FloatArray, columns: SplitColumns) -> FloatArray:
    """The weights (utterance, context); NaN rows where the utterance lacks the asking modality or nothing answers."""
    target = Modality(name.partition("->")[0])
    asked = columns.present[target] & (weights.sum(axis=1) > 0)
    shown: FloatArray = np.where(asked[:, None], weights, np.nan)
    return shown


def _leave_one_out(columns: SplitColumns, analyst: Analyst) -> dict[Modality, Predictions]:
    """Predictions with each modality taken away in turn; nothing for a model of one modality."""
    if len(columns.features) < 2:
        return {}
    return {
        modality: analyst.predictor.predict(
            dataclasses.replace(columns, present=columns.present | {modality: np.zeros_like(columns.present[modality])})
        )
        for modality in columns.features
    }


def _utterance(
    row: int,
    found: Featurised,
    predictions: Predictions,
    without: Mapping[Modality, Predictions],
    decisions: Decisions,
) -> UtteranceAnalysis:
    utterance = found.video.utterances[row]
    outputs = _outputs(predictions, row) if utterance.features else {}
    emotions = {name: outputs[name] for name in EMOTIONS if name in outputs}
    positive = outputs.get("sentiment")
    label = None if positive is None else "positive" if positive >= decisions.sentiment else "negative"
    return UtteranceAnalysis(
        index=utterance.index,
        start_s=float(utterance.start_s or 0.0),
        end_s=float(utterance.end_s or 0.0),
        transcript=utterance.transcript,
        sentiment=None if label is None or positive is None else Sentiment(label, positive),
        emotions=emotions,
        labels=tuple(name for name, value in emotions.items() if value >= decisions.weighted_f1[name]),
        missing={str(modality): reason for modality, reason in found.missing[utterance.index].items()},
        contributions={
            str(modality): {name: value - _outputs(other, row)[name] for name, value in outputs.items()}
            for modality, other in without.items()
            if modality in utterance.features
        },
    )


def _outputs(predictions: Predictions, row: int) -> dict[str, float]:
    """Every probability of one utterance, by name."""
    outputs = {}
    if predictions.sentiment_probability is not None:
        outputs["sentiment"] = float(predictions.sentiment_probability[row])
    if predictions.emotion_probabilities is not None:
        outputs |= {name: float(predictions.emotion_probabilities[row, column]) for column, name in enumerate(EMOTIONS)}
    return outputs


def _model_facts(analyst: Analyst) -> ModelFacts:
    run, decisions = analyst.run, analyst.decisions
    only_words = tuple(run.inputs) == (Modality.TEXT,)
    return ModelFacts(
        name=f"{run.folder.name} ({run.model})",
        inputs=tuple(map(str, run.inputs)),
        tasks=tuple(map(str, run.tasks)),
        sentiment_threshold=decisions.sentiment,
        thresholds={name: decisions.weighted_f1[name] for name in EMOTIONS} if Task.EMOTION in run.tasks else {},
        protocol="Thresholds were chosen on validation videos for weighted F1, which names an emotion only when sure.",
        caveats=(WORDS_ONLY, EXPRESSED) if only_words else (EXPRESSED,),
        facts={"Trained on": str(run.dataset["name"]), "Features": ", ".join(s.name for s in run.spaces.values())},
    )


__all__ = ["DEFAULT_MODEL", "OUTPUTS", "AnalyzeRequest", "analyze", "analyze_clips", "load_analyst"]
