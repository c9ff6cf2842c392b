"""What each system must learn of the planted rules (`mien import planted`), and what it cannot: by its architecture.

A line per system of MODELS, decided by reasoning about its equations, not by what it scored. LEARNS: its accuracy on
the scored split is at least `LEARNED`. CANNOT: it stays below `CHANCE`, about four standard errors above one half. A
rule that is not named is not claimed either way.
"""

from __future__ import annotations

from dataclasses import dataclass

LEARNED, CHANCE = 0.85, 0.62

TEXT, FUSION, CONTEXT, CONTEXT_FUSION, ALIGNMENT = "text", "fusion", "context", "context-fusion", "alignment"


@dataclass(frozen=True)
class Expectation:
    """The rules by name, and why."""

    learns: tuple[str, ...]
    cannot: tuple[str, ...]
    why: str


ATTENDS = "multiplies the modalities' states, which carry the other utterances; sees means over words only"

EXPECTATIONS: dict[str, Expectation] = {
    "majority": Expectation((), (TEXT, FUSION, CONTEXT, CONTEXT_FUSION, ALIGNMENT), "looks at nothing"),
    "cim": Expectation((TEXT, FUSION, CONTEXT, CONTEXT_FUSION), (ALIGNMENT,), ATTENDS),
    "cim-released": Expectation((TEXT, CONTEXT), (ALIGNMENT,), f"{ATTENDS}; padding takes much of the attention"),
    "mmmu-ba": Expectation((TEXT, FUSION, CONTEXT, CONTEXT_FUSION), (ALIGNMENT,), ATTENDS),
    "vqa-attention": Expectation((TEXT, FUSION, CONTEXT), (ALIGNMENT,), f"{ATTENDS}; attends one way only"),
    "cim-tuned": Expectation(
        (TEXT, FUSION, CONTEXT, CONTEXT_FUSION),
        (ALIGNMENT,),
        f"{ATTENDS}; a layer over all of them; here on text features, for the planted transcripts say nothing",
    ),
    "concat": Expectation(
        (TEXT, CONTEXT),
        (FUSION, CONTEXT_FUSION, ALIGNMENT),
        "every modality has its own recurrence and the heads add them up: no product of two modalities",
    ),
    "bc-lstm": Expectation(
        (TEXT, FUSION, CONTEXT, CONTEXT_FUSION), (ALIGNMENT,), "a recurrence over all modalities' states"
    ),
    "cat-lstm": Expectation(
        (TEXT, CONTEXT), (ALIGNMENT,), "a recurrence over a weighted sum of the modalities, one vector per utterance"
    ),
    "tfn": Expectation((TEXT, FUSION), (CONTEXT, CONTEXT_FUSION, ALIGNMENT), "the product itself, of one utterance"),
    "df": Expectation((TEXT,), (CONTEXT, CONTEXT_FUSION, ALIGNMENT), "each utterance alone, one vector per modality"),
    "blanchard": Expectation(
        (FUSION,), (TEXT, CONTEXT, CONTEXT_FUSION, ALIGNMENT), "layers over voice and face together; no text"
    ),
    "mkl-svm": Expectation(
        (TEXT,), (FUSION, CONTEXT, CONTEXT_FUSION, ALIGNMENT), "a sum of one kernel per modality is additive in them"
    ),
    "logistic": Expectation(
        (TEXT,), (FUSION, CONTEXT, CONTEXT_FUSION, ALIGNMENT), "a weighted sum of the features of one utterance"
    ),
    "cdbn": Expectation((), (TEXT, CONTEXT, CONTEXT_FUSION, ALIGNMENT), "no text; RBMs learn without labels"),
    "mm-dictionary": Expectation(
        (TEXT,),
        (FUSION, CONTEXT, CONTEXT_FUSION),
        "counts words by the gesture beside them, gestures found without labels: it finds part of the alignment; "
        "adds the counts up, so voice times face is out of reach",
    ),
}
WORD_BY_WORD = Expectation(
    (TEXT, FUSION, ALIGNMENT), (CONTEXT, CONTEXT_FUSION), "fuses at every word, each utterance alone"
)
EXPECTATIONS |= dict.fromkeys(("ef-lstm", "mv-lstm", "marn", "mfn", "graph-mfn"), WORD_BY_WORD)
