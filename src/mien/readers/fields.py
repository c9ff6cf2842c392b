"""Names that readers look for in a file: for each field, the columns, arrays or root groups to try, in this order.

They stand apart from the readers, so that `mien.readers.READERS` can show them without loading every reader.
"""

from __future__ import annotations

from mien.schema import EMOTIONS, Modality

VIDEO_ID, TEXT = "video_id", "text"
# columns of a table
TABLE_FIELDS: dict[str, tuple[str, ...]] = {
    VIDEO_ID: ("video_id",),
    "index": ("segment_id", "index"),
    "start": ("start",),
    "end": ("end",),
    TEXT: ("text",),
    "split": ("split",),
    "speaker": ("speaker",),
    "fold": ("fold",),
    "sentiment": ("sentiment",),
    **{name: (name,) for name in EMOTIONS},
}

SENTIMENT_CLASS = "sentiment_class"
# arrays of an archive; the names after the first one occur in published files
ARRAY_FIELDS: dict[str, tuple[str, ...]] = {
    "video_id": ("video_id",),
    "index": ("index", "segment"),
    "start": ("start",),
    "end": ("end",),
    "split": ("split", "split_bclstm"),
    "transcript": ("transcript",),
    Modality.TEXT.value: ("text",),
    Modality.ACOUSTIC.value: ("acoustic", "audio"),
    Modality.VISUAL.value: ("visual", "video", "vision"),
    "sentiment": ("sentiment",),
    SENTIMENT_CLASS: (SENTIMENT_CLASS, "label"),
    "emotions": ("emotions",),
    **{name: (name,) for name in EMOTIONS},
}

LABELS = "labels"
WORDS = "words"
# root groups of computational sequences, normalised; docs/formats.md lists the original spellings
CSD_ROOTS: dict[str, tuple[str, ...]] = {
    LABELS: ("alllabels", "sentimentlabels", "emotionlabels", "opinionsegmentlabels"),
    WORDS: ("words", "timestampedwords"),
    Modality.TEXT.value: ("glovevectors", "timestampedwordvectors"),
    Modality.ACOUSTIC.value: ("covarep",),
    Modality.VISUAL.value: ("facet", "openface", "visualfacet", "visualopenface"),
}
# documented order of the labels of CMU-MOSEI ("All Labels"), for files without names; it differs from that of EMOTIONS
LABEL_COLUMNS = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
