"""`mmmu-ba`: multi-modal multi-utterance bi-modal attention, the direct parent of `cim`.

Ghosal, Akhtar, Chauhan, Poria, Ekbal, Bhattacharyya: "Contextual Inter-modal Attention for Multi-modal Sentiment
Analysis", EMNLP 2018 (D18-1382). Its network is the one of `cim` with other sizes and a tanh layer, so it is built by
`Cim`; the paper has the sentiment head alone, here it may have either head or both. `torch.nn.GRU` has no recurrent
dropout; padding, which the authors' script lets take attention, is masked. The variants MMUU-SA and MU-SA are left out,
but one modality alone gives MU-SA's self-attention.

Symbols: X, Y -> states of two modalities; M1, M2 -> scores; N1, N2 -> weights; O1, O2 -> attended; A1, A2 -> gated
(all in attention.py).
"""

from __future__ import annotations

from mien.models.cim import CimSettings

MMMU_BA_SETTINGS = CimSettings(
    gru_size=300, dense_size=100, activation="tanh", input_dropout=0.5, state_dropout=0.7, dense_dropout=0.7
)
