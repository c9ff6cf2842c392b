"""Networks by their equations in numpy alone, from their own weights. One video: axes (utterance, feature)."""

from __future__ import annotations

import numpy as np
from torch import nn

from mien.models.batch import Batch
from mien.schema import Modality


def array(tensor) -> np.ndarray:
    return tensor.detach().numpy()


def sigmoid(value: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-value))


def softmax(scores: np.ndarray) -> np.ndarray:
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def dense(layer: nn.Linear, rows: np.ndarray) -> np.ndarray:
    product = rows @ array(layer.weight).T
    return product if layer.bias is None else product + array(layer.bias)


def lstm(network: nn.LSTM, rows: np.ndarray) -> np.ndarray:
    """Both directions of an LSTM (Hochreiter and Schmidhuber 1997, with forget gate), (utterance, 2 state)."""
    backward = _lstm_direction(network, rows[::-1], "_reverse")[::-1]
    return np.concatenate([_lstm_direction(network, rows, ""), backward], axis=1)


def gru(network: nn.GRU, rows: np.ndarray) -> np.ndarray:
    """Both directions of a GRU (Cho et al. 2014, with torch's second bias), (utterance, 2 state)."""
    backward = _gru_direction(network, rows[::-1], "_reverse")[::-1]
    return np.concatenate([_gru_direction(network, rows, ""), backward], axis=1)


def over_present(recurrence, network: nn.Module, rows: np.ndarray, present: np.ndarray) -> np.ndarray:
    """`recurrence` over the rows that are present; zero states for the others."""
    states = np.zeros((len(rows), 2 * network.hidden_size))
    if present.any():
        states[present] = recurrence(network, rows[present])
    return states


def masked_softmax_rows(scores: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Each row a softmax over the columns that are present; zero elsewhere."""
    weights = np.zeros_like(scores)
    for row, values in enumerate(scores):
        here = present if present.ndim == 1 else present[row]
        if here.any():
            weights[row, here] = softmax(values[here])
    return weights


def videos_of(batch: Batch) -> list[tuple[dict[Modality, np.ndarray], dict[Modality, np.ndarray]]]:
    """Per video its features and presence without padding, as numpy arrays."""
    return [
        (
            {m: array(rows[video, :length]) for m, rows in batch.features.items()},
            {m: array(mask[video, :length]) for m, mask in batch.present.items()},
        )
        for video, length in enumerate(batch.lengths.tolist())
    ]


def _lstm_direction(network: nn.LSTM, rows: np.ndarray, suffix: str) -> np.ndarray:
    w, u = array(getattr(network, f"weight_ih_l0{suffix}")), array(getattr(network, f"weight_hh_l0{suffix}"))
    bias = array(getattr(network, f"bias_ih_l0{suffix}")) + array(getattr(network, f"bias_hh_l0{suffix}"))
    state = cell = np.zeros(network.hidden_size)
    states = []
    for row in rows:
        into, forget, candidate, out = np.split(w @ row + u @ state + bias, 4)
        cell = sigmoid(forget) * cell + sigmoid(into) * np.tanh(candidate)
        state = sigmoid(out) * np.tanh(cell)
        states.append(state)
    return np.stack(states)


def _gru_direction(network: nn.GRU, rows: np.ndarray, suffix: str) -> np.ndarray:
    w, u = array(getattr(network, f"weight_ih_l0{suffix}")), array(getattr(network, f"weight_hh_l0{suffix}"))
    b, c = array(getattr(network, f"bias_ih_l0{suffix}")), array(getattr(network, f"bias_hh_l0{suffix}"))
    state, states = np.zeros(network.hidden_size), []
    for row in rows:
        reset_x, update_x, candidate_x = np.split(w @ row + b, 3)
        reset_h, update_h, candidate_h = np.split(u @ state + c, 3)
        update = sigmoid(update_x + update_h)
        candidate = np.tanh(candidate_x + sigmoid(reset_x + reset_h) * candidate_h)
        state = (1 - update) * candidate + update * state
        states.append(state)
    return np.stack(states)
