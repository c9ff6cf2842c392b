"""Corpora of acted speech whose file names contain the labels: RAVDESS, CREMA-D, TESS, Emo-DB and nEMO.

The labels are the emotions that the actors were asked for, not those that listeners perceived.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from mien.labels import LabelKind, LabelSpace
from mien.schema import EMOTION

INTENSITY_SPACE = "intensity"
ACTED = "Acted speech: the emotion is the one that the actor was asked for."
# the table of nEMO, and its columns
TEXTS_FILE = "data.tsv"
TEXTS_COLUMNS = ("file_id", "raw_text")
# channel of RAVDESS in which the sentences are sung
SONG = "02"
REAL_NAMES = "file names of the corpus"


@dataclass(frozen=True, slots=True)
class Corpus:
    """Description of a corpus: its file names, what their codes mean, and its terms of use."""

    # key of the reader, and name of the corpus
    reader: str
    title: str
    # File name without suffix. Groups: speaker and emotion; sentence, level, channel and modality if the names have
    # them. Upper and lower case make no difference.
    file_name: re.Pattern[str]
    # name of one of its files, and what it means
    example: str
    meaning: str
    # code of the emotion, in lower case -> class
    classes: Mapping[str, str]
    # folders and files, as `mien readers` shows them
    layout: str
    # publication, where the corpus can be had, terms of use, and the files on which the reader was tested
    citation: str
    source: str
    licence: str
    tested_on: str
    # name that the corpus gives a speaker, with {} in place of the code
    speaker: str = "{}"
    # code of the sentence, in lower case -> its words
    sentences: Mapping[str, str] = field(default_factory=dict)
    # words around the code of the sentence, if the code is itself a spoken word
    carrier: str = ""
    # code of the intensity, in lower case -> its name, from the lowest; codes without an intensity are left out
    levels: Mapping[str, str] = field(default_factory=dict)
    # Codes of the modality. Of one recording in several modalities, the first of these is read.
    modalities: tuple[str, ...] = ()
    # whether the words of the files are in the table `TEXTS_FILE`
    has_texts_file: bool = False

    @property
    def label_spaces(self) -> tuple[LabelSpace, ...]:
        """The label space of the classes, and that of the intensity if the corpus has one."""
        names = tuple(dict.fromkeys(self.classes.values()))
        origin = f"{self.title}: names of the files"
        emotion = LabelSpace(EMOTION, LabelKind.CLASSES, names, neutral="neutral", origin=origin)
        if not self.levels:
            return (emotion,)
        levels = tuple(self.levels.values())
        cuts = tuple(number - 0.5 for number in range(1, len(levels)))
        return (
            emotion,
            LabelSpace(INTENSITY_SPACE, LabelKind.ORDINAL, levels, 0.0, float(len(levels) - 1), cuts, origin=origin),
        )


RAVDESS = Corpus(
    reader="ravdess",
    title="RAVDESS",
    file_name=re.compile(
        r"(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<level>0[12])-(?P<sentence>0[12])-0[12]-"
        r"(?P<speaker>\d\d)",
    ),
    example="03-01-06-01-02-01-12.wav",
    meaning="sound only, speech, fearful, normal intensity, sentence 2, first time, actor 12",
    layout="""\
Audio_Speech_Actors_01-24/Actor_01/*.wav (1,440 files of speech), Video_Speech_Actor_01/Actor_01/*.mp4 and so on:
  modality-channel-emotion-intensity-sentence-repetition-actor, seven numbers""",
    citation="Livingstone and Russo, PLOS ONE 2018",
    source="https://zenodo.org/records/1188976",
    tested_on=f"{REAL_NAMES} (sound)",
    classes={
        "01": "neutral",
        "02": "calm",
        "03": "happy",
        "04": "sad",
        "05": "angry",
        "06": "fearful",
        "07": "disgust",
        "08": "surprised",
    },
    licence="CC BY-NC-SA 4.0",
    speaker="Actor_{}",
    sentences={"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"},
    levels={"01": "normal", "02": "strong"},
    # picture and sound, sound only, picture only
    modalities=("01", "03", "02"),
)
CREMA_D = Corpus(
    reader="crema-d",
    title="CREMA-D",
    # one published file has the level X in place of XX
    file_name=re.compile(
        r"(?P<speaker>\d{4})_(?P<sentence>[A-Z]{3})_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<level>LO|MD|HI|XX?)",
        re.IGNORECASE,
    ),
    example="1001_IEO_ANG_HI.wav",
    meaning="actor 1001, It's eleven o'clock, anger, high intensity",
    layout="""\
AudioWAV/*.wav (7,442 files), or VideoFlash/*.flv:
  actor_sentence_emotion_intensity; the intensity XX stands for none in particular""",
    citation="Cao et al., IEEE Transactions on Affective Computing 2014",
    source="https://github.com/CheyneyComputerScience/CREMA-D",
    tested_on="file names as in the published list of files",
    classes={
        "ang": "anger",
        "dis": "disgust",
        "fea": "fear",
        "hap": "happy",
        "neu": "neutral",
        "sad": "sad",
    },
    licence="Open Database License 1.0, contents under the Database Contents License 1.0",
    sentences={
        "dfa": "Don't forget a jacket",
        "ieo": "It's eleven o'clock",
        "iom": "I'm on my way to the meeting",
        "ith": "I think I have a doctor's appointment",
        "its": "I think I've seen this before",
        "iwl": "I would like a new alarm clock",
        "iww": "I wonder what this is about",
        "mti": "Maybe tomorrow it will be cold",
        "tai": "The airplane is almost full",
        "tie": "That is exactly what happened",
        "tsi": "The surface is slick",
        "wsi": "We'll stop in a couple of minutes",
    },
    # XX stands for no particular intensity
    levels={"lo": "low", "md": "medium", "hi": "high"},
)
TESS = Corpus(
    reader="tess",
    title="TESS",
    # One published file has the speaker OA in place of OAF. Other copies have numbers, as in 116testOAF_hit_happy23.
    file_name=re.compile(
        r"(?:\d+test)?(?P<speaker>[OY]A)F?_(?P<sentence>[a-z]+)_(?P<emotion>angry|disgust|fear|happy|neutral|ps|sad)\d*",
        re.IGNORECASE,
    ),
    example="OAF_back_angry.wav",
    meaning="older actress, Say the word back, angry",
    layout="""\
OAF_angry/*.wav and so on (2,800 files):
  actress_word_emotion; ps is pleasant surprise""",
    citation="Dupuis and Pichora-Fuller, 2010",
    source="https://doi.org/10.5683/SP2/E8H2MF",
    tested_on=REAL_NAMES,
    classes={
        "angry": "angry",
        "disgust": "disgust",
        "fear": "fear",
        "happy": "happy",
        "neutral": "neutral",
        "ps": "pleasant surprise",
        "sad": "sad",
    },
    licence="CC BY-NC-ND 4.0",
    speaker="{}F",
    carrier="Say the word {}",
)
EMO_DB = Corpus(
    reader="emodb",
    title="Emo-DB",
    file_name=re.compile(r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[WLEAFTN])[a-z]?", re.IGNORECASE),
    example="03a01Fa.wav",
    meaning="speaker 03, sentence a01, happiness (Freude), first version",
    layout="""\
wav/*.wav (535 files):
  two digits of the speaker, three signs of the sentence, letter of the emotion, letter of the version""",
    citation="Burkhardt et al., Interspeech 2005",
    source="http://emodb.bilderbar.info/download/download.zip",
    tested_on=REAL_NAMES,
    # initial letters of the German words: Ärger (Wut), Langeweile, Ekel, Angst, Freude, Trauer
    classes={
        "w": "anger",
        "l": "boredom",
        "e": "disgust",
        "a": "fear",
        "f": "happiness",
        "t": "sadness",
        "n": "neutral",
    },
    licence="CC0 1.0",
    sentences={
        "a01": "Der Lappen liegt auf dem Eisschrank.",
        "a02": "Das will sie am Mittwoch abgeben.",
        "a04": "Heute abend könnte ich es ihm sagen.",
        "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
        "a07": "In sieben Stunden wird es soweit sein.",
        "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
        "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
        "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
        "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
        "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
    },
)
NEMO = Corpus(
    reader="nemo",
    title="nEMO",
    file_name=re.compile(
        r"(?P<speaker>[A-Z]{2}\d)_(?P<emotion>anger|fear|happiness|neutral|sadness|surprised)_(?P<sentence>\d+)",
        re.IGNORECASE,
    ),
    example="EB0_anger_1.wav",
    meaning="speaker EB0, anger, sentence 1",
    layout="""\
data.tsv (texts), samples/*.wav (4,481 files):
  speaker_emotion_sentence""",
    citation="Christop, LREC-COLING 2024",
    source="https://github.com/amu-cai/nEMO",
    tested_on=f"{REAL_NAMES}; data.tsv rebuilt",
    classes={name: name for name in ("anger", "fear", "happiness", "neutral", "sadness", "surprised")},
    licence="CC BY-NC-SA 4.0",
    has_texts_file=True,
)
CORPORA = {corpus.reader: corpus for corpus in (RAVDESS, CREMA_D, TESS, EMO_DB, NEMO)}
