"""One split as tensors, and batches of whole videos of similar length. N = utterances of the split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mien.features.text.minilm import token_ids
from mien.models.batch import Batch, InputKind, Times, Tokens, Words
from mien.models.classical.base import column_scaling
from mien.schema import IntArray, Modality
from mien.storage.split_columns import SplitColumns, WordColumns
from mien.tasks import targets_of

# Videos are sorted by length plus a random number below this, so that batches differ between epochs.
LENGTH_JITTER_UTTERANCES = 2.0


@dataclass(frozen=True, slots=True)
class Scaling:
    """Per modality mean and s.d. of every column, fitted on the train split only; (feature,) each."""

    mean: Mapping[Modality, Float[Tensor, "feature"]]
    scale: Mapping[Modality, Float[Tensor, "feature"]]


@dataclass(frozen=True, slots=True)
class WordSet:
    """The words of a split's utterances, scaled, one utterance after another. W = words."""

    offsets: Int[Tensor, "N_plus_1"]
    features: Mapping[Modality, Float[Tensor, "W feature"]]
    present: Mapping[Modality, Bool[Tensor, "W"]]


@dataclass(frozen=True, slots=True)
class TokenSet:
    """The word pieces of a split's utterances, one utterance after another. P = pieces."""

    offsets: Int[Tensor, "N_plus_1"]
    ids: Int[Tensor, "P"]


@dataclass(frozen=True, slots=True)
class Targets:
    """What the outputs of the trained tasks should be; none where nothing is trained. n = utterances."""

    # task -> classes (bool) or degrees (float32) of each output; false or zero where not `scored`
    values: Mapping[str, Bool[Tensor, "n output"] | Float[Tensor, "n output"]]
    # task -> whether the utterance has the label
    scored: Mapping[str, Bool[Tensor, "n"]]

    def at(self, rows: Int[Tensor, "k"]) -> Targets:
        """Those of the given rows."""
        return Targets(
            {task: values[rows] for task, values in self.values.items()},
            {task: scored[rows] for task, scored in self.scored.items()},
        )


@dataclass(frozen=True, slots=True)
class VideoSet:
    """One split in memory, scaled, videos one after another."""

    offsets: Int[Tensor, "video_plus_1"]
    features: Mapping[Modality, Float[Tensor, "N feature"]]
    present: Mapping[Modality, Bool[Tensor, "N"]]
    targets: Targets
    words: WordSet | None = None
    tokens: TokenSet | None = None
    # start and end in seconds, NaN where unknown
    times_s: Float[Tensor, "N 2"] | None = None

    @property
    def lengths(self) -> Int[Tensor, "video"]:
        """Utterances of each video."""
        return self.offsets.diff()

    @property
    def n_tokens(self) -> IntArray | None:
        """Word pieces of each video (video,), if there are any to be read."""
        return None if self.tokens is None else self.tokens.offsets[self.offsets].diff().numpy()


@dataclass(frozen=True, slots=True)
class BatchBudget:
    """The most that the videos of one batch may cost together."""

    costs: IntArray  # (video,)
    most: int


def fit_scaling(columns: SplitColumns, modalities: Sequence[Modality], *, identity: bool = False) -> Scaling:
    """Mean and s.d. over the utterances that have the modality; constant columns keep their scale.

    Over the words instead, if the columns hold words. With `identity` nothing is scaled (mean 0, s.d. 1).
    """
    mean, scale = {}, {}
    source = columns if columns.words is None else columns.words
    for modality in modalities:
        rows = source.features[modality][source.present[modality]].astype(np.float64)
        centre, spread = column_scaling(rows)
        if identity:
            centre, spread = np.zeros_like(centre), np.ones_like(spread)
        mean[modality] = torch.from_numpy(centre.astype(np.float32))
        scale[modality] = torch.from_numpy(spread.astype(np.float32))
    return Scaling(mean, scale)


def to_video_set(
    columns: SplitColumns, scaling: Scaling, input_kind: InputKind = InputKind.CONTEXT, tasks: Sequence[str] = ()
) -> VideoSet:
    """Tensors of one split, scaled, with the targets of the tasks that are trained on it.

    Rows that lack a modality stay zero and are not `present`.

    Transcripts become word pieces where the text has no features (see `features.transcript`). Raises what `token_ids`
    raises.
    """
    features, present = _scaled(columns, scaling)
    return VideoSet(
        offsets=torch.from_numpy(columns.offsets),
        features=features,
        present=present,
        targets=_to_targets(columns, tasks),
        words=None
        if columns.words is None
        else WordSet(torch.from_numpy(columns.words.offsets), *_scaled(columns.words, scaling)),
        tokens=_to_tokens(columns, scaling) if input_kind is InputKind.TRANSCRIPTS else None,
        times_s=_to_times(columns) if input_kind is InputKind.TRANSCRIPTS else None,
    )


def _to_targets(columns: SplitColumns, tasks: Sequence[str]) -> Targets:
    values, scored = {}, {}
    for task in tasks:
        wanted, labelled = targets_of(task, columns)
        wanted = wanted if wanted.dtype == np.bool_ else wanted.astype(np.float32)
        values[task], scored[task] = torch.from_numpy(wanted), torch.from_numpy(labelled)
    return Targets(values, scored)


def _to_tokens(columns: SplitColumns, scaling: Scaling) -> TokenSet | None:
    text = Modality.TEXT
    if text not in scaling.mean or len(scaling.mean[text]):
        return None
    assert columns.transcripts is not None, "`as_transcripts` refuses such columns"
    # `without` may have taken the text of an utterance away
    pairs = zip(columns.transcripts, columns.present[text], strict=True)
    pieces = token_ids([transcript if here else "" for transcript, here in pairs])
    lengths = np.array([len(each) for each in pieces], dtype=np.int64)
    ids = np.array([piece for each in pieces for piece in each], dtype=np.int64)
    return TokenSet(torch.from_numpy(np.concatenate([[0], lengths.cumsum()])), torch.from_numpy(ids))


def _to_times(columns: SplitColumns) -> Float[Tensor, "N 2"] | None:
    if columns.start_s is None or columns.end_s is None:
        return None
    return torch.from_numpy(np.stack([columns.start_s, columns.end_s], axis=1).astype(np.float32))


def _scaled(
    columns: SplitColumns | WordColumns, scaling: Scaling
) -> tuple[dict[Modality, Float[Tensor, "row feature"]], dict[Modality, Bool[Tensor, "row"]]]:
    features, present = {}, {}
    for modality, mean in scaling.mean.items():
        here = torch.from_numpy(columns.present[modality])
        rows = (torch.from_numpy(columns.features[modality]) - mean) / scaling.scale[modality]
        features[modality], present[modality] = rows * here.unsqueeze(-1), here
    return features, present


def bucketed_batches(
    lengths: IntArray, batch_videos: int, rng: np.random.Generator | None, budget: BatchBudget | None = None
) -> list[list[int]]:
    """Video numbers in batches of similar length; shuffled with `rng`, in fixed order without.

    With a budget a batch ends where the next video would exceed it; a video that does so alone is a batch of its own.
    """
    jitter = 0.0 if rng is None else rng.random(len(lengths)) * LENGTH_JITTER_UTTERANCES
    order = np.argsort(lengths + jitter, kind="stable")
    if budget is None:
        batches = [order[start : start + batch_videos].tolist() for start in range(0, len(order), batch_videos)]
    else:
        batches = _within(budget, order.tolist(), batch_videos)
    if rng is not None:
        rng.shuffle(batches)
    return batches


def _within(budget: BatchBudget, order: Sequence[int], batch_videos: int) -> list[list[int]]:
    batches: list[list[int]] = []
    spent = 0
    for video in order:
        cost = int(budget.costs[video])
        if not batches or len(batches[-1]) == batch_videos or spent + cost > budget.most:
            batches.append([])
            spent = 0
        batches[-1].append(video)
        spent += cost
    return batches


def rows_of(videos: VideoSet, numbers: Sequence[int]) -> Int[Tensor, "n"]:
    """Row numbers of the named videos' utterances."""
    return torch.cat([torch.arange(int(videos.offsets[v]), int(videos.offsets[v + 1])) for v in numbers])


def _places(offsets: Int[Tensor, "item_plus_1"], chosen: Int[Tensor, "n"]) -> tuple[Int[Tensor, "n"], Int[Tensor, "n"]]:
    """First row and number of rows of the chosen items; never looks at the others, however large the corpus."""
    starts = offsets[chosen]
    return starts, offsets[chosen + 1] - starts


def collate(videos: VideoSet, numbers: Sequence[int]) -> tuple[Batch, Int[Tensor, "n"]]:
    """The named videos as one padded batch, and the row numbers of its real utterances in ``real.nonzero()`` order."""
    chosen = torch.as_tensor(numbers)
    starts, lengths = _places(videos.offsets, chosen)
    place = torch.arange(int(lengths.max()))
    real = place < lengths.unsqueeze(1)  # (video, utterance)
    rows = (starts.unsqueeze(1) + place).where(real, 0)  # (video, utterance)
    batch = Batch(
        features={m: matrix[rows] * real.unsqueeze(-1) for m, matrix in videos.features.items()},
        present={m: mask[rows] & real for m, mask in videos.present.items()},
        lengths=lengths,
        real=real,
        words=None if videos.words is None else collate_words(videos.words, rows[real]),
        tokens=None if videos.tokens is None else collate_tokens(videos.tokens, rows[real]),
        times=None if videos.times_s is None else _collate_times(videos.times_s, rows, real),
    )
    return batch, rows[real]


def one_video(columns: SplitColumns, scaling: Scaling) -> Batch:
    """The only video of the columns as a batch, without its words."""
    features, present = _scaled(columns, scaling)
    real = torch.ones(1, columns.n_utterances, dtype=torch.bool)
    return Batch(
        features={m: matrix.unsqueeze(0) for m, matrix in features.items()},
        present={m: mask.unsqueeze(0) for m, mask in present.items()},
        lengths=torch.tensor([columns.n_utterances]),
        real=real,
    )


def collate_tokens(tokens: TokenSet, rows: Int[Tensor, "n"]) -> Tokens:
    """The word pieces of the given utterances, padded to the longest of them."""
    starts, lengths = _places(tokens.offsets, rows)
    place = torch.arange(int(lengths.max()))
    here = place < lengths.unsqueeze(1)  # (n, token)
    ids = torch.zeros(here.shape, dtype=torch.int64)
    ids[here] = tokens.ids[(starts.unsqueeze(1) + place)[here]]
    return Tokens(ids, lengths)


def _collate_times(
    times_s: Float[Tensor, "N 2"], rows: Int[Tensor, "video utterance"], real: Bool[Tensor, "video utterance"]
) -> Times:
    start_s, end_s = times_s[rows].unbind(-1)
    known = real & start_s.isfinite() & end_s.isfinite()
    return Times(start_s.where(known, 0.0), end_s.where(known, 0.0), known)


def collate_words(words: WordSet, rows: Int[Tensor, "n"]) -> Words:
    """The words of the given utterances, padded to the longest of them (at least one place)."""
    starts, lengths = _places(words.offsets, rows)
    place = torch.arange(max(int(lengths.max()), 1))
    real = place < lengths.unsqueeze(1)  # (n, word)
    chosen = (starts.unsqueeze(1) + place).where(real, 0)  # (n, word)
    if int(words.offsets[-1]) == 0:
        return Words(
            {m: matrix.new_zeros(*real.shape, matrix.shape[1]) for m, matrix in words.features.items()},
            {m: real.clone() for m in words.present},
            lengths,
        )
    present = {m: mask[chosen] & real for m, mask in words.present.items()}
    features = {m: matrix[chosen] * present[m].unsqueeze(-1) for m, matrix in words.features.items()}
    return Words(features, present, lengths)
