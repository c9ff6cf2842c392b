"""One training epoch of `cim` at the paper's size, against three references measured in the same call.

    python benchmarks/train_epoch.py [--videos 2250] [--repeats 5] [--padded-batches 8] [--json]
    python benchmarks/train_epoch.py --against TREE     # against the epoch of another checkout, and nothing else

The references: (a) the same network with three `nn.GRU` and torch's own dropout, on batches of videos of similar
length as in mien, (b) the same with every video padded to 98 utterances, as in the released script, and (c) only the
matrix products of the network, in the shapes of the bucketed epoch.

The data set is synthetic: random features of the paper's sizes (300 text, 74 acoustic, 35 visual) and lengths
distributed as in CMU-MOSEI (2,250 videos, about 17,000 utterances, longest 98). Seconds are processor time of one
thread. An epoch of `mien.train` includes the validation of 20 videos and the checkpoint to resume from. For (b), some
batches are timed and the time is scaled, because all padded batches cost the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import combinations
from pathlib import Path

import harness
import numpy as np
import torch
from torch import Tensor, nn

GRU_SIZE, DENSE_SIZE = 200, 100
BATCH_VIDEOS = 16
LONGEST = 98
SIZES = (300, 74, 35)
VALID_VIDEOS = 20
BACKWARD_COST = 2  # the backward pass of a product consists of two products of the same size
Video = tuple[list[Tensor], Tensor, Tensor]  # features of every modality, sentiment, emotions


def epoch(dataset: str, n_epochs: int) -> dict[str, float]:
    """Measure the fastest epoch of `mien.train` after the first one, which also loads libraries and data.

    Args:
        dataset: Folder of the Dataset.
        n_epochs: Number of epochs after the first.

    Returns:
        ``epoch_s``: processor seconds.
    """
    ends_s = harness.epoch_ends_s(dataset, {"epochs": n_epochs + 1, "patience": None})
    return {"epoch_s": float(np.diff(ends_s).min())}


def made_up_videos(lengths: np.ndarray, rng: np.random.Generator) -> list[Video]:
    """Make random features and labels for the references.

    Args:
        lengths: Utterances per video, (video,).
        rng: Random numbers.

    Returns:
        The videos.
    """
    return [
        (
            [torch.from_numpy(rng.normal(size=(length, size)).astype(np.float32)) for size in SIZES],
            torch.from_numpy(rng.integers(2, size=length)),
            torch.from_numpy(rng.integers(2, size=(length, 7)).astype(np.float32)),
        )
        for length in lengths
    ]


def similar_batches(lengths: np.ndarray, rng: np.random.Generator) -> list[list[int]]:
    """Make batches of videos of similar length.

    Args:
        lengths: Utterances per video, (video,).
        rng: Random numbers.

    Returns:
        Video numbers of each batch, in random order.
    """
    order = np.argsort(lengths + rng.random(len(lengths)), kind="stable")
    batches = [order[start : start + BATCH_VIDEOS].tolist() for start in range(0, len(order), BATCH_VIDEOS)]
    rng.shuffle(batches)
    return batches


class Plain(nn.Module):
    """`cim` built from torch's own modules: three GRUs, three pairs of modalities, dropout.

    With lengths, the GRUs skip the padding; without, they and the attention also process the padding, as in the
    released script.
    """

    def __init__(self) -> None:
        super().__init__()
        self.grus = nn.ModuleList([nn.GRU(n, GRU_SIZE, batch_first=True, bidirectional=True) for n in SIZES])
        self.dense = nn.ModuleList([nn.Linear(2 * GRU_SIZE, DENSE_SIZE) for _ in SIZES])
        self.heads = nn.ModuleList([nn.Linear(9 * DENSE_SIZE, 2), nn.Linear(9 * DENSE_SIZE, 7)])

    def forward(self, features: list[Tensor], lengths: Tensor | None, real: Tensor) -> list[Tensor]:
        """Compute the logits of sentiment and emotions.

        Args:
            features: Features (video, utterance, feature) of each modality.
            lengths: Utterances per video, (video,); None processes the padding as well.
            real: Mask (video, utterance), False for padding.

        Returns:
            Logits (video, utterance, 2) and (video, utterance, 7).
        """
        drop = nn.functional.dropout
        states = []
        for gru, dense, rows in zip(self.grus, self.dense, features, strict=True):
            state = drop(torch.relu(dense(drop(_run_gru(gru, drop(rows, 0.3), lengths), 0.3))), 0.3)
            states.append(state if lengths is None else state * real.unsqueeze(-1))
        mask = None if lengths is None else real
        pairs = [_attend(*pair, mask) for x, y in combinations(states, 2) for pair in ((x, y), (y, x))]
        shared = torch.cat([*pairs, *states], dim=-1)
        return [head(shared) for head in self.heads]


def _run_gru(gru: nn.GRU, rows: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None or bool((lengths == rows.shape[1]).all()):
        return gru(rows)[0]
    packed = nn.utils.rnn.pack_padded_sequence(rows, lengths, batch_first=True, enforce_sorted=False)
    return nn.utils.rnn.pad_packed_sequence(gru(packed)[0], batch_first=True)[0]


def _attend(x: Tensor, y: Tensor, real: Tensor | None) -> Tensor:
    scores = x @ y.mT
    if real is not None:
        scores = scores.masked_fill(~real.unsqueeze(1), torch.finfo(scores.dtype).min)
    return (scores.softmax(-1) @ y) * x


def train_plain(videos: list[Video], batches: list[list[int]], padded: bool) -> None:
    """Train the plain network for one epoch.

    Args:
        videos: Features and labels of all videos.
        batches: Video numbers of each batch.
        padded: Whether to pad to 98 utterances instead of to the longest video of the batch.
    """
    network = Plain()
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    for numbers in batches:
        rows, sentiment, emotions = zip(*(videos[number] for number in numbers), strict=True)
        features = [nn.utils.rnn.pad_sequence(list(each), batch_first=True) for each in zip(*rows, strict=True)]
        lengths = torch.tensor([len(each) for each in sentiment])
        if padded:
            extra = LONGEST - features[0].shape[1]
            features = [nn.functional.pad(matrix, (0, 0, 0, extra)) for matrix in features]
        real = torch.arange(features[0].shape[1]) < lengths.unsqueeze(1)
        logits = network(features, None if padded else lengths, real)
        loss = nn.functional.cross_entropy(logits[0][real], torch.cat(sentiment))
        loss = loss + nn.functional.binary_cross_entropy_with_logits(logits[1][real], torch.cat(emotions))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bare_products_s(lengths: np.ndarray, batches: list[list[int]]) -> float:
    """Measure the matrix products alone, without padding: the forward pass, and twice its time for the backward pass.

    Per batch: one product over all utterances for every input projection and dense layer, one product over the videos
    still running for every recurrent step, and four products per pair and video length for the attention.

    Args:
        lengths: Utterances per video, (video,).
        batches: Video numbers of each batch.

    Returns:
        Processor seconds.
    """
    seconds = 0.0
    for numbers in batches:
        for shapes in product_shapes(np.sort(lengths[numbers])[::-1]):
            left, right = (torch.randn(shape) for shape in shapes)
            seconds += harness.process_s(partial(torch.matmul, left, right))
    return seconds * (1 + BACKWARD_COST)


def product_shapes(lengths: np.ndarray) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield the shapes of both factors of each product of a batch whose lengths are in descending order."""
    n = int(lengths.sum())
    running = [int((lengths > step).sum()) for step in range(int(lengths[0]))]
    for size in SIZES:
        yield (n, size), (size, 2 * 3 * GRU_SIZE)
        for videos in running:
            yield from [((videos, GRU_SIZE), (GRU_SIZE, 3 * GRU_SIZE))] * 2  # both directions
        yield (n, 2 * GRU_SIZE), (2 * GRU_SIZE, DENSE_SIZE)
    for length, count in zip(*np.unique(lengths, return_counts=True), strict=True):
        u, v = int(length), int(count)
        for _direction in range(2 * 3):  # of three pairs
            yield (v, u, DENSE_SIZE), (v, DENSE_SIZE, u)
            yield (v, u, u), (v, u, DENSE_SIZE)
    yield (n, 9 * DENSE_SIZE), (9 * DENSE_SIZE, 2 + 7)


def measure(
    videos: int = 2250, padded_batches: int = 8, epochs: int = 2, repeats: int = 5, against: Path | None = None
) -> harness.Report:
    """Measure an epoch and its references, or compare the epochs of two checkouts.

    Args:
        videos: Number of training videos.
        padded_batches: Number of padded batches to time.
        epochs: Epochs per turn; the fastest counts.
        repeats: Number of turns.
        against: Other checkout; None measures the references.

    Returns:
        Times and their ratios.
    """
    # imported here, because `epoch` also runs with other checkouts, where the imports of `synthetic` may fail
    from synthetic import make_dataset, mosei_like_lengths

    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    lengths = mosei_like_lengths(videos, rng)
    with tempfile.TemporaryDirectory() as folder:
        dataset = make_dataset(Path(folder) / "data", {"train": lengths, "valid": lengths[1 : VALID_VIDEOS + 1]})
        if against:
            return harness.compare_trees(against, partial(harness.call, epoch, dataset, epochs), repeats)
        made_up, batches = made_up_videos(lengths, rng), similar_batches(lengths, rng)
        few = np.arange(padded_batches * BATCH_VIDEOS).reshape(padded_batches, BATCH_VIDEOS).tolist()
        plain = partial(train_plain, made_up, batches, padded=False)
        padded = partial(train_plain, made_up, few, padded=True)
        train_plain(made_up, batches[:5], padded=False)  # warm up
        ways = {
            "one epoch": lambda: harness.call(epoch, dataset, epochs)["epoch_s"],
            "three nn.GRU": lambda: harness.process_s(plain),
            "padded to 98 as released, scaled": lambda: len(batches) / len(few) * harness.process_s(padded),
            "bare matrix products": lambda: bare_products_s(lengths, batches),
        }
        times = harness.in_turns(ways, repeats)
    epoch_s, *references = (min(seconds) for seconds in times.values())
    return harness.Report(
        {"videos": videos, "utterances": int(lengths.sum()), "batches": len(batches), "padded batches": len(few)},
        {"processor time": [{"way": name} | harness.spread(each, "s") for name, each in times.items()]},
        {
            "speedup_over_nn_gru": references[0] / epoch_s,
            "speedup_over_padded": references[1] / epoch_s,
            "ratio_to_matrix_products": epoch_s / references[2],
        },
    )


if __name__ == "__main__":
    harness.main(measure)
