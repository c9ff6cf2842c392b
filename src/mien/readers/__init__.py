"""Readers of published data sets. Each reader is one module and one entry of `READERS`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mien.errors import SettingsError, UnknownNameError, UsageError
from mien.limits import reporting_unreadable
from mien.readers import planted
from mien.readers.acted_corpora import ACTED, CORPORA
from mien.readers.base import ReaderOptions, SourceDataSet, Unit
from mien.readers.entries import ReaderEntry, opener_at
from mien.readers.fields import ARRAY_FIELDS, CSD_ROOTS, TABLE_FIELDS
from mien.schema import Video

__all__ = ["READERS", "open_reader"]

# values of `ReaderEntry.tested_on`
REBUILT_BY_LAYOUT = "files rebuilt in the layout, with random content"
REBUILT_BY_CODE = "files rebuilt from the public code that loads the originals, with random content"
OWN_DATA = "your own data; the format belongs to no data set"

IEMOCAP_LICENCE = "for research, under the licence of USC's SAIL that each user must sign"
IEMOCAP_LAYOUT = """\
nine parts without names; all but trainVid and testVid are dictionaries: id of the dialogue -> one value per utterance
  videoIDs, videoSpeakers, videoLabels, videoText, videoAudio, videoVisual, videoSentence, trainVid, testVid
for example videoSpeakers['Ses01F_impro01'] = ['F', 'M', 'F', ...]"""

READERS: dict[str, ReaderEntry] = {
    "table": ReaderEntry(
        opener_at("mien.readers.table:open_table"),
        "tables with one row per utterance: texts, times, labels",
        "one or more files (.csv, .tsv, .jsonl, .parquet, or gzipped) with the columns video_id and text",
        "any spreadsheet; the column names are those of common CMU-MOSEI tables",
        """\
one row per utterance, for example labels.csv:
  video_id,segment_id,start,end,text,split,sentiment,anger,disgust,fear,happy,sad,surprise
  talk,0,0.0,2.5,What a film!,train,2,0,0,0,2,0,0.5
Only video_id and text are required; --label reads other labels.""",
        OWN_DATA,
        "that of your data",
        "published CSV files of CMU-MOSEI, and files made for the tests in the other formats",
        TABLE_FIELDS,
        takes_labels=True,
        takes_utterance_ids=True,
    ),
    "arrays": ReaderEntry(
        opener_at("mien.readers.arrays:open_arrays"),
        "one archive of aligned arrays with one row per utterance",
        "one .npz without Python objects, with an array video_id",
        "numpy; array names as in the bc-LSTM features of CMU-MOSI (Poria et al., ACL 2017) are known",
        """\
one archive, in which every array has one row for each of N utterances:
  features.npz: video_id (N,), index (N,), split (N,), transcript (N,),
                text (N, 300), acoustic (N, 74), visual (N, 35), sentiment (N,)
Only video_id is required. numpy.savez(PATH, video_id=..., text=...) writes such a file.""",
        "features of CMU-MOSI: GitHub, declare-lab/contextual-utterance-level-multimodal-sentiment-analysis",
        "that of your data; CMU-MOSI: for research",
        "the published features of CMU-MOSI",
        ARRAY_FIELDS,
        takes_labels=True,
        takes_utterance_ids=True,
    ),
    "npz": ReaderEntry(
        opener_at("mien.readers.npz:open_npz"),
        "the three padded archives of the paper's released code",
        "text.npz, audio.npz and video.npz, or their folder",
        "GussailRaat/NAACL-19-CIM (Akhtar et al., NAACL 2019)",
        """\
  text.npz, audio.npz, video.npz: train_data, valid_data, test_data (video, utterance, feature)
  video.npz also: train_length (video,), trainSentiLabel (video, utterance),
                  trainEmoLabel (video, utterance, 6), and the same for valid and test""",
        "the README of GitHub, GussailRaat/NAACL-19-CIM, has a link",
        "that of CMU-MOSEI: for research",
        REBUILT_BY_LAYOUT,
    ),
    "csd": ReaderEntry(
        opener_at("mien.readers.csd.reader:open_csd"),
        "computational sequences: CMU-MOSEI as published, aligned word by word",
        "the .csd files of labels and of text vectors or words; also acoustic and visual ones, and a .csv of folds",
        "A2Zadeh/CMU-MultimodalSDK (Zadeh et al., ACL 2018)",
        """\
one HDF5 file per stream; the name of the root group says which:
  CMU_MOSEI_Labels.csd: All Labels/data/VIDEO/intervals (n, 2) and features (n, 7)
  CMU_MOSEI_TimestampedWordVectors.csd: glove_vectors/data/VIDEO/intervals (n, 2) and features (n, 300)
  CMU_MOSEI_TimestampedWords.csd, CMU_MOSEI_COVAREP.csd, CMU_MOSEI_VisualFacet42.csd
Data other than CMU-MOSEI also need a folds.csv with the columns video_id and fold.""",
        "the package of GitHub, A2Zadeh/CMU-MultimodalSDK, downloads the files",
        "CMU-MOSEI and CMU-MOSI: for research",
        "files written by CMU-MultimodalSDK itself, with random content; label files of CMU-MOSI: rebuilt",
        CSD_ROOTS,
    ),
    "mmsa": ReaderEntry(
        opener_at("mien.readers.mmsa:open_mmsa"),
        "pickles of MMSA and M-SENA, aligned or not; sentiment only",
        "one .pkl of the kind aligned_50.pkl or unaligned_50.pkl",
        "thuiar/MMSA (Yu et al., ACL 2020; Mao et al., ACL 2022)",
        """\
one dictionary: split (train, valid, test) -> key -> array with one row per utterance
  id ('video$_$3'), raw_text, text (n, 50, 768), audio (n, 50, 74), vision (n, 50, 35),
  regression_labels (n,); text_bert, audio_lengths, vision_lengths if there are any""",
        "the README of GitHub, thuiar/MMSA, has links to CMU-MOSI, CMU-MOSEI and CH-SIMS in this format",
        "that of the data set in the file; CMU-MOSI, CMU-MOSEI and CH-SIMS: for research",
        f"{REBUILT_BY_LAYOUT}; CH-SIMS and padding in front: from the public code",
        takes_labels=True,
    ),
    "mult": ReaderEntry(
        opener_at("mien.readers.mult:open_mult"),
        "pickles of the Multimodal Transformer, MultiBench, MAG-BERT and MISA; sentiment, and emotions where stored",
        "one .pkl of the kind mosei_senti_data.pkl or mosei_senti_data_noalign.pkl; or the lists of MAG-BERT or MISA",
        "yaohungt/Multimodal-Transformer (Tsai et al., ACL 2019); MAG-BERT (ACL 2020); MISA (ACM MM 2020)",
        """\
one dictionary: split (train, valid, test) -> key -> array with one row per utterance
  id (n, 3): video, start, end; text (n, 50, 300), audio (n, 50, 74), vision (n, 50, 35), labels (n, 1, 1)
or lists of tuples by split, as MAG-BERT and MISA have them:
  ((words, visual, acoustic), label, 'video[3]')""",
        "GitHub: the READMEs of yaohungt/Multimodal-Transformer, pliang279/MultiBench, "
        "WasifurRahman/BERT_multimodal_transformer and declare-lab/MISA",
        "that of the data set in the file; CMU-MOSI and CMU-MOSEI: for research",
        f"{REBUILT_BY_LAYOUT}; lists of tuples: from the public code",
        takes_labels=True,
    ),
    "meld": ReaderEntry(
        opener_at("mien.readers.meld:open_meld"),
        "MELD's dialogues: texts, times, speakers, one of seven emotions and of three sentiments each",
        "train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv, some of them or their folder",
        "declare-lab/MELD (Poria et al., ACL 2019)",
        """\
one CSV file per split, one row per utterance, for example dev_sent_emo.csv:
  Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime
  1,How are you?,Joey,neutral,neutral,0,0,4,7,"00:20:57,256","00:21:00,049\"""",
        "GitHub, declare-lab/MELD, folder data/MELD",
        "GPL-3.0; the dialogue text stays under the copyright of the series' owners",
        "the published CSV files",
    ),
    "meld-features": ReaderEntry(
        opener_at("mien.readers.meld_features:open_meld_features"),
        "MELD's dialogues with features of text and voice, seven emotions and three sentiments",
        "MELD_features_raw.pkl of conv-emotion",
        "declare-lab/conv-emotion (Majumder et al., AAAI 2019); data: Poria et al., ACL 2019",
        """\
a list of nine parts; all but trainVid and testVid are dictionaries: number of the dialogue -> one value per utterance
  videoIDs, videoSpeakers, videoLabels, videoText, videoAudio, videoSentence, trainVid, testVid, sentiments""",
        "the README of GitHub, declare-lab/conv-emotion (DialogueRNN), has a link",
        "that of MELD: GPL-3.0; the dialogue text stays under the copyright of the series' owners",
        REBUILT_BY_CODE,
    ),
    "iemocap": ReaderEntry(
        opener_at("mien.readers.iemocap:open_iemocap"),
        "IEMOCAP's dialogues of two people: texts, one emotion each, features of three modalities, sessions as folds",
        "IEMOCAP_features.pkl of conv-emotion",
        "declare-lab/conv-emotion (Majumder et al., AAAI 2019); data: Busso et al., 2008",
        IEMOCAP_LAYOUT,
        "the README of GitHub, declare-lab/conv-emotion (DialogueRNN), has a link",
        IEMOCAP_LICENCE,
        REBUILT_BY_CODE,
    ),
    "iemocap4": ReaderEntry(
        opener_at("mien.readers.iemocap:open_iemocap4"),
        "the same with four emotions: excited counts as happy, and frustrated utterances have no label",
        "IEMOCAP_features.pkl of conv-emotion",
        "declare-lab/conv-emotion (Majumder et al., AAAI 2019); data: Busso et al., 2008",
        IEMOCAP_LAYOUT,
        "the README of GitHub, declare-lab/conv-emotion (DialogueRNN), has a link",
        IEMOCAP_LICENCE,
        REBUILT_BY_CODE,
    ),
    **{
        corpus.reader: ReaderEntry(
            opener_at("mien.readers.acted_speech:open_corpus", corpus),
            f"{corpus.title}, acted speech: {', '.join(corpus.label_spaces[0].names)}, from the names of the files",
            "the folder of the corpus; subfolders are read, too",
            f"{corpus.title} ({corpus.citation})",
            f"{corpus.layout}\nfor example {corpus.example}: {corpus.meaning}",
            corpus.source,
            f"{corpus.licence}. {ACTED}",
            corpus.tested_on,
        )
        for corpus in CORPORA.values()
    },
    "planted": ReaderEntry(
        planted.open_planted,
        "made-up videos, word by word, in three modalities; the labels follow a rule that asks for one ability",
        "no file; --map rule=NAME chooses the rule",
        "mien itself: a test of what a system can learn",
        "no files; for example --map rule=fusion --map videos=300",
        "mien generates it",
        "that of mien; it has no data of people",
        "its own videos",
        planted.FIELDS,
        takes_files=False,
    ),
}


def open_reader(name: str, paths: Sequence[str | Path], options: ReaderOptions | None = None) -> SourceDataSet:
    """Open a data set by the name of its reader.

    Args:
        name: A key of `READERS`.
        paths: Files or folders, as described in the reader's `needs`. Empty for a generator, which reads no files.
        options: Renamed columns, and whether to keep word vectors. If it is None, no column is renamed, and word
            vectors are kept.

    Returns:
        The opened data set.

    Raises:
        UnknownNameError: No reader has this name, or `options` renames a field that the reader does not have.
        UsageError: The reader needs files but `paths` is empty, or the reader is a generator but `paths` is not empty.
        SettingsError: The reader cannot rename columns, or `options` renames a field to an empty name.
        DataError: A file is missing or has another format.
    """
    if name not in READERS:
        raise UnknownNameError("a reader", name, READERS)
    options = options or ReaderOptions()
    entry, fields = READERS[name], READERS[name].fields
    if entry.takes_files != bool(paths):
        needed = "files or a folder" if entry.takes_files else "no files"
        raise UsageError(
            f"Expected {needed} for the reader {name!r} ({entry.needs}), but got "
            f"{', '.join(map(str, paths)) or 'none'}; see: mien readers"
        )
    for field, column in options.mapping.items():
        if not fields:
            raise SettingsError(
                f"Expected no --map for the reader {name!r}, but got {field}={column}; leave it out, names are fixed"
            )
        if field not in fields:
            raise UnknownNameError(f"a field of the reader {name!r} in --map", field, fields)
        if not column:
            raise SettingsError(f"Expected a name after --map {field}=, but got nothing; name the column that holds it")
    if options.labels and not entry.takes_labels:
        takers = ", ".join(each for each, row in READERS.items() if row.takes_labels)
        raise UsageError(f"Expected no --label for the reader {name!r}, but got one; leave it out, or use {takers}")
    if options.unit is Unit.VIDEO and not entry.takes_utterance_ids:
        takers = ", ".join(each for each, row in READERS.items() if row.takes_utterance_ids)
        raise UsageError(
            f"Expected --unit video with the readers {takers}, but got it with {name!r}, whose files name videos and "
            "utterances apart; leave it out"
        )
    files = [Path(path) for path in paths]
    what = f"a data set for the reader {name!r}"
    with reporting_unreadable(what, files):
        source = entry.open(files, options)
    source.videos = _reporting_videos(what, files, source.videos)
    return source


def _reporting_videos(what: str, files: Sequence[Path], videos: Iterator[Video]) -> Iterator[Video]:
    with reporting_unreadable(what, files):
        yield from videos
