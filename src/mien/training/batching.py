"""Tensors of one split, and padded batches of whole videos.

In array shapes, N is the number of utterances of the split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mien.features.text.minilm import token_ids
from mien.models.batch import NO_SPEAKER, Batch, InputKind, Times, Tokens, Words
from mien.models.classical.base import column_scaling
from mien.schema import IntArray, Modality
from mien.storage.split_columns import SplitColumns, WordColumns
from mien.tasks import Task, targets_of


@dataclass(frozen=True, slots=True)
class Scaling:
    """Mean and standard deviation (`scale`) of every feature column, by modality.

    Both are computed on the train split only.
    """

    mean: Mapping[Modality, Float[Tensor, "feature"]]
    scale: Mapping[Modality, Float[Tensor, "feature"]]


@dataclass(frozen=True, slots=True)
class WordSet:
    """Scaled features of all words of a split. The words of all utterances are concatenated.

    W is the number of words of the split. Utterance i has the words offsets[i] to offsets[i + 1] - 1.
    """

    offsets: Int[Tensor, "N_plus_1"]
    features: Mapping[Modality, Float[Tensor, "W feature"]]
    present: Mapping[Modality, Bool[Tensor, "W"]]


@dataclass(frozen=True, slots=True)
class TokenSet:
    """Ids of all tokens (word pieces) of a split. The tokens of all utterances are concatenated.

    P is the number of tokens of the split. Utterance i has the tokens offsets[i] to offsets[i + 1] - 1.
    """

    offsets: Int[Tensor, "N_plus_1"]
    ids: Int[Tensor, "P"]


@dataclass(frozen=True, slots=True)
class Targets:
    """Training targets of n utterances by task, and masks (`scored`) of the utterances that have a label for the task.

    If no targets are needed, as for prediction, there is no entry for any task.
    """

    # task -> target classes (bool) or intensities (float32); False or zero where the label is missing
    values: Mapping[str, Bool[Tensor, "n output"] | Float[Tensor, "n output"]]
    # task -> True where the utterance has the label
    scored: Mapping[str, Bool[Tensor, "n"]]

    def at(self, rows: Int[Tensor, "k"]) -> Targets:
        """Return the targets of the utterances with the given indices."""
        return Targets(
            {task: values[rows] for task, values in self.values.items()},
            {task: scored[rows] for task, scored in self.scored.items()},
        )


@dataclass(frozen=True, slots=True)
class VideoSet:
    """One split as scaled tensors. The utterances of all videos are concatenated.

    Video i has the utterances (rows) offsets[i] to offsets[i + 1] - 1.
    """

    offsets: Int[Tensor, "video_plus_1"]
    features: Mapping[Modality, Float[Tensor, "N feature"]]
    present: Mapping[Modality, Bool[Tensor, "N"]]
    targets: Targets
    words: WordSet | None = None
    tokens: TokenSet | None = None
    # start and end of each utterance in seconds, NaN where unknown
    times_s: Float[Tensor, "N 2"] | None = None
    # number of the speaker of each utterance, `NO_SPEAKER` where unknown
    speakers: Int[Tensor, "N"] | None = None

    @property
    def lengths(self) -> Int[Tensor, "video"]:
        """Number of utterances of each video."""
        return self.offsets.diff()

    @property
    def n_tokens(self) -> IntArray | None:
        """Number of tokens of each video (video,); None if the split has no tokens."""
        return None if self.tokens is None else self.tokens.offsets[self.offsets].diff().numpy()


def fit_scaling(columns: SplitColumns, modalities: Sequence[Modality], *, identity: bool = False) -> Scaling:
    """Compute the mean and standard deviation of every feature column, over the utterances that have the modality.

    If `columns` contains features of words, both are computed over the words instead. The standard deviation of a
    constant column is set to 1.

    Args:
        columns: Features of the train split.
        modalities: Modalities to scale.
        identity: If True, return mean 0 and standard deviation 1, which leave the features unscaled.

    Returns:
        Mean and standard deviation (feature,) of every modality.
    """
    mean, scale = {}, {}
    source = columns if columns.words is None else columns.words
    for modality in modalities:
        rows = source.features[modality][source.present[modality]].astype(np.float64)
        column_mean, column_scale = column_scaling(rows)
        if identity:
            column_mean, column_scale = np.zeros_like(column_mean), np.ones_like(column_scale)
        mean[modality] = torch.from_numpy(column_mean.astype(np.float32))
        scale[modality] = torch.from_numpy(column_scale.astype(np.float32))
    return Scaling(mean, scale)


def to_video_set(
    columns: SplitColumns, scaling: Scaling, input_kind: InputKind = InputKind.CONTEXT, tasks: Sequence[Task] = ()
) -> VideoSet:
    """Convert the arrays of one split to scaled tensors with training targets.

    If an utterance lacks a modality, its features are zero, and its entry in the mask `present` is False. If the system
    takes transcripts as input, they are converted to tokens, and the text modality has no features.

    Args:
        columns: Arrays of the split.
        scaling: Scaling fitted on the train split. Its modalities are the inputs of the system.
        input_kind: Kind of input of the system. Tokens, times and speakers are added only for
            `InputKind.TRANSCRIPTS`.
        tasks: Tasks whose targets are added; empty for prediction.

    Returns:
        The split as tensors.

    Raises:
        MissingExtraError: The package of the tokeniser is not installed.
        MissingWeightsError: The file of the tokeniser is missing.
        DamagedFileError: The file of the tokeniser is damaged.
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
        speakers=_to_speakers(columns) if input_kind is InputKind.TRANSCRIPTS else None,
    )


def _to_targets(columns: SplitColumns, tasks: Sequence[Task]) -> Targets:
    values, scored = {}, {}
    for task in tasks:
        targets, is_labelled = targets_of(task, columns)
        targets = targets if targets.dtype == np.bool_ else targets.astype(np.float32)
        values[task.name], scored[task.name] = torch.from_numpy(targets), torch.from_numpy(is_labelled)
    return Targets(values, scored)


def _to_tokens(columns: SplitColumns, scaling: Scaling) -> TokenSet | None:
    text = Modality.TEXT
    if text not in scaling.mean or len(scaling.mean[text]):
        return None
    assert columns.transcripts is not None, "`as_transcripts` refuses such columns"
    # `SplitColumns.without` may have marked the text as missing
    with_presence = zip(columns.transcripts, columns.present[text], strict=True)
    tokens = token_ids([transcript if has_text else "" for transcript, has_text in with_presence])
    lengths = np.array([len(each) for each in tokens], dtype=np.int64)
    ids = np.array([piece for each in tokens for piece in each], dtype=np.int64)
    return TokenSet(torch.from_numpy(np.concatenate([[0], lengths.cumsum()])), torch.from_numpy(ids))


def _to_times(columns: SplitColumns) -> Float[Tensor, "N 2"] | None:
    if columns.start_s is None or columns.end_s is None:
        return None
    return torch.from_numpy(np.stack([columns.start_s, columns.end_s], axis=1).astype(np.float32))


def _to_speakers(columns: SplitColumns) -> Int[Tensor, "N"] | None:
    if columns.speakers is None:
        return None
    numbers: dict[str | None, int] = {name: number for number, name in enumerate(dict.fromkeys(columns.speakers))}
    numbers[None] = NO_SPEAKER
    return torch.tensor([numbers[name] for name in columns.speakers], dtype=torch.int64)


def _scaled(
    columns: SplitColumns | WordColumns, scaling: Scaling
) -> tuple[dict[Modality, Float[Tensor, "row feature"]], dict[Modality, Bool[Tensor, "row"]]]:
    """Return, by modality, the scaled features, and a mask that is True for the rows that have the modality.

    Rows that lack the modality are zero.
    """
    features, present = {}, {}
    for modality, mean in scaling.mean.items():
        mask = torch.from_numpy(columns.present[modality])
        rows = (torch.from_numpy(columns.features[modality]) - mean) / scaling.scale[modality]
        features[modality], present[modality] = rows * mask.unsqueeze(-1), mask
    return features, present


def rows_of(videos: VideoSet, numbers: Sequence[int]) -> Int[Tensor, "n"]:
    """Return the indices of the utterances of the given videos.

    Args:
        videos: The split.
        numbers: Indices of the videos in the split.

    Returns:
        Indices of utterances in the split, (n,): first those of the first given video, then those of the second, and so
        on.
    """
    return torch.cat([torch.arange(int(videos.offsets[v]), int(videos.offsets[v + 1])) for v in numbers])


def _row_ranges(
    offsets: Int[Tensor, "item_plus_1"], chosen: Int[Tensor, "n"]
) -> tuple[Int[Tensor, "n"], Int[Tensor, "n"]]:
    """Return the first row and the number of rows of each chosen item (a video or an utterance).

    Item i has the rows offsets[i] to offsets[i + 1] - 1. `chosen` contains the indices of the chosen items.
    """
    starts = offsets[chosen]
    return starts, offsets[chosen + 1] - starts


def collate(videos: VideoSet, numbers: Sequence[int]) -> tuple[Batch, Int[Tensor, "n"]]:
    """Build one padded batch from the given videos.

    Args:
        videos: The split.
        numbers: Indices of the videos in the split.

    Returns:
        ``(batch, rows)``: the batch, and the indices (n,) of its utterances in the split: first those of the first
        given video, then those of the second, and so on.
    """
    chosen = torch.as_tensor(numbers)
    starts, lengths = _row_ranges(videos.offsets, chosen)
    position = torch.arange(int(lengths.max()))
    real = position < lengths.unsqueeze(1)  # (video, utterance)
    rows = (starts.unsqueeze(1) + position).where(real, 0)  # (video, utterance)
    batch = Batch(
        features={m: matrix[rows] * real.unsqueeze(-1) for m, matrix in videos.features.items()},
        present={m: mask[rows] & real for m, mask in videos.present.items()},
        lengths=lengths,
        real=real,
        words=None if videos.words is None else collate_words(videos.words, rows[real]),
        tokens=None if videos.tokens is None else collate_tokens(videos.tokens, rows[real]),
        times=None if videos.times_s is None else _collate_times(videos.times_s, rows, real),
        speakers=None if videos.speakers is None else videos.speakers[rows].where(real, NO_SPEAKER),
    )
    return batch, rows[real]


def one_video(columns: SplitColumns, scaling: Scaling) -> Batch:
    """Build a batch from the arrays of a single video. The batch contains no words, tokens, times or speakers.

    Args:
        columns: Arrays of the video.
        scaling: Scaling fitted on the train split.

    Returns:
        A batch that consists of this video.
    """
    features, present = _scaled(columns, scaling)
    real = torch.ones(1, columns.n_utterances, dtype=torch.bool)
    return Batch(
        features={m: matrix.unsqueeze(0) for m, matrix in features.items()},
        present={m: mask.unsqueeze(0) for m, mask in present.items()},
        lengths=torch.tensor([columns.n_utterances]),
        real=real,
    )


def collate_tokens(tokens: TokenSet, rows: Int[Tensor, "n"]) -> Tokens:
    """Pad the tokens of the given utterances, so that all have the same number of tokens.

    Args:
        tokens: Tokens of the split.
        rows: Indices of the utterances in the split, (n,).

    Returns:
        Token ids (n, token), zero for padding; and the number of tokens of each utterance, (n,).
    """
    starts, lengths = _row_ranges(tokens.offsets, rows)
    position = torch.arange(int(lengths.max()))
    real = position < lengths.unsqueeze(1)  # (n, token)
    ids = torch.zeros(real.shape, dtype=torch.int64)
    ids[real] = tokens.ids[(starts.unsqueeze(1) + position)[real]]
    return Tokens(ids, lengths)


def _collate_times(
    times_s: Float[Tensor, "N 2"], rows: Int[Tensor, "video utterance"], real: Bool[Tensor, "video utterance"]
) -> Times:
    """Return the start and end of each utterance in seconds, and a mask that is True where both are known.

    Unknown times are zero. `rows` contains the index of each utterance in the split, and `real` is False for padding.
    """
    start_s, end_s = times_s[rows].unbind(-1)
    known = real & start_s.isfinite() & end_s.isfinite()
    return Times(start_s.where(known, 0.0), end_s.where(known, 0.0), known)


def collate_words(words: WordSet, rows: Int[Tensor, "n"]) -> Words:
    """Pad the words of the given utterances, so that all have the same number of words, at least one.

    Args:
        words: Words of the split.
        rows: Indices of the utterances in the split, (n,).

    Returns:
        By modality, features (n, word, feature) and a mask (n, word) of the words that have the modality; and the
        number of words of each utterance, (n,).
    """
    starts, lengths = _row_ranges(words.offsets, rows)
    position = torch.arange(max(int(lengths.max()), 1))
    real = position < lengths.unsqueeze(1)  # (n, word)
    chosen = (starts.unsqueeze(1) + position).where(real, 0)  # (n, word)
    if int(words.offsets[-1]) == 0:
        return Words(
            {m: matrix.new_zeros(*real.shape, matrix.shape[1]) for m, matrix in words.features.items()},
            {m: real.clone() for m in words.present},
            lengths,
        )
    present = {m: mask[chosen] & real for m, mask in words.present.items()}
    features = {m: matrix[chosen] * present[m].unsqueeze(-1) for m, matrix in words.features.items()}
    return Words(features, present, lengths)
