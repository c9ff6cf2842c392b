"""Measure how languages are recognised: other languages, English recordings, word errors and the time it takes.

    python benchmarks/languages.py VOICES

It needs the corpora of docs/formats.md (acted speech) in the folder VOICES with a table labels.csv (file, corpus,
speaker, language, split, sentence), and the packages of the extras `media`, `offline` and `languages`. Synthetic voices
are added if the package espeakng-loader is installed, which mien itself does not need. Only recordings of test speakers
are counted, except for the synthetic voices. Each recording is recognised as `mien analyze` does, with and without the
multilingual model.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import dataclasses
import importlib.util
import random
import re
import tempfile
import time
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from mien.media.clips import read_subtitles
from mien.media.container import probe
from mien.media.decode import AUDIO_RATE_HZ, read_audio
from mien.media.languages import LanguageIdentifier, language_name
from mien.media.recognition import Recognizer, SpeechSettings, load_recognizer, recognize
from mien.metrics.word_error_rate import word_error_rate

# Sentences for a synthetic voice, by its name. The limits in mien.media.languages were chosen on these, too.
SPOKEN = {
    "fr": "Bonjour tout le monde. Je suis très heureux de vous voir aujourd'hui. Mais mon chien est mort hier et je "
    "suis triste. Demain nous irons au marché.",
    "es": "Esta mañana fui al mercado y compré pan para mi madre. El tiempo era terrible. Cenamos con nuestros amigos "
    "y estuvimos muy contentos.",
    "it": "Questa mattina sono andato al mercato e ho comprato il pane per mia madre. Il tempo era terribile. "
    "Abbiamo cenato con i nostri amici.",
    "pt": "Esta manhã fui ao mercado e comprei pão para a minha mãe. O tempo estava terrível. Jantamos com os nossos "
    "amigos.",
    "fi": "Tänä aamuna menin torille ja ostin leipää äidilleni. Sää oli kauhea. Söimme illallista ystäviemme kanssa ja "
    "olimme hyvin iloisia.",
}
RAVDESS = {"S01": "Kids are talking by the door", "S02": "Dogs are sitting by the door"}
N_CLIPS = 8  # clips of one speaker that are joined to a recording in another language
N_ENGLISH = 20
GAP_S = 0.6


def synthetic_voice() -> Callable[[str, str], np.ndarray] | None:
    """Return a function (voice, text) -> samples (sample,), or None without the package espeakng-loader."""
    if importlib.util.find_spec("espeakng_loader") is None:
        return None
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate_hz = library.espeak_Initialize(1, 0, espeakng_loader.get_data_path().encode(), 0)
    parts: list[np.ndarray] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def receive(samples, n_samples, _events) -> int:  # type: ignore[no-untyped-def]
        if samples and n_samples > 0:
            parts.append(np.ctypeslib.as_array(samples, shape=(n_samples,)).copy())
        return 0

    library.espeak_SetSynthCallback(receive)

    def speak(voice: str, text: str) -> np.ndarray:
        parts.clear()
        if library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"Expected a voice of espeak-ng, but got {voice}; see its list of voices")
        spoken = text.encode() + b"\0"
        library.espeak_Synth(spoken, ctypes.c_size_t(len(spoken)), 0, 0, 0, 1, None, None)
        library.espeak_Synchronize()
        assert receive is not None  # the library calls it until here
        ratio = Fraction(AUDIO_RATE_HZ, rate_hz)
        samples = np.concatenate(parts).astype(np.float64) / 32768
        return np.asarray(resample_poly(samples, ratio.numerator, ratio.denominator), dtype=np.float32)

    return speak


def samples_of(path: Path) -> np.ndarray:
    """Return the whole sound of a file, (sample,)."""
    return read_audio(path, 0.0, probe(path).duration_s, AUDIO_RATE_HZ)


def write_joined(path: Path, parts: list[np.ndarray]) -> Path:
    """Write samples one after the other, with a silence after each, as a WAV file."""
    silence = np.zeros(round(GAP_S * AUDIO_RATE_HZ), dtype=np.float32)
    samples = np.concatenate([each for part in parts for each in (part, silence)])
    with wave.open(str(path), "wb") as handle:
        handle.setnchannels(1)
        handle.setsampwidth(2)
        handle.setframerate(AUDIO_RATE_HZ)
        handle.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def other_recordings(voices: Path, rows: list[dict[str, str]], folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield language, description and file of one recording in each language other than English."""
    for corpus, language in (("nemo", "pl"), ("emodb", "de")):
        test = [row for row in rows if row["corpus"] == corpus and row["split"] == "test"]
        own = [row for row in test if row["speaker"] == test[0]["speaker"]]
        chosen = random.Random(1).sample(own, min(N_CLIPS, len(own)))
        parts = [samples_of(voices / row["file"]) for row in chosen]
        yield language, f"{corpus}, {len(parts)} clips", write_joined(folder / f"{corpus}.wav", parts)
    speak = synthetic_voice()
    for voice, text in SPOKEN.items() if speak is not None else ():
        assert speak is not None
        yield voice, "synthetic voice", write_joined(folder / f"{voice}.wav", [speak(voice, text)])


def english_recordings(voices: Path, rows: list[dict[str, str]]) -> Iterator[tuple[str, Path, str]]:
    """Yield corpus, file and sentence of English recordings: test speakers of RAVDESS and TESS, and the sample."""
    for corpus in ("ravdess", "tess"):
        test = [row for row in rows if row["corpus"] == corpus and row["split"] == "test"]
        for row in random.Random(2).sample(test, N_ENGLISH // 2):
            yield corpus, voices / row["file"], RAVDESS.get(row["sentence"], f"Say the word {row['sentence']}")
    sample = Path(str(files("mien"))) / "sample"
    subtitles, _ = read_subtitles(sample / "sample.srt", probe(sample / "sample.mp4").duration_s)
    yield "sample", sample / "sample.mp4", " ".join(clip.transcript for clip in subtitles)


def plain(text: str) -> str:
    """Return the words of a text in lower case, without punctuation."""
    return re.sub(r"[^a-z' ]", "", text.lower().replace("-", " "))


def heard(path: Path, recognizer: Recognizer) -> tuple[str, str, float]:
    """Return the language, the words and the seconds that recognition took."""
    start = time.perf_counter()
    speech = recognize(path, recognizer, notes=Counter())
    return speech.language, " ".join(word.text for word in speech.words), time.perf_counter() - start


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voices", type=Path)
    arguments = parser.parse_args()
    with open(arguments.voices / "labels.csv", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    both = load_recognizer()
    if both.multilingual is None:
        raise SystemExit("Expected the multilingual model, but got none; run: pip install 'mien[languages]'")
    alone = dataclasses.replace(both, multilingual=None)
    before = load_recognizer(SpeechSettings(language="en"))
    names = ["with the multilingual model", "without it"]
    with tempfile.TemporaryDirectory() as folder:
        print(f"| language | recording | {' | '.join(names)} |\n|---|---|---|---|")
        for language, what, path in other_recordings(arguments.voices, rows, Path(folder)):
            found = [language_name(heard(path, each)[0]) for each in (both, alone)]
            print(f"| {language_name(language)} | {what} | {' | '.join(found)} |", flush=True)
    unsure: Counter[str] = Counter()
    errors: dict[str, list[tuple[str, str, str]]] = {}
    audio_s = recognition_s = identification_s = 0.0
    for corpus, path, sentence in english_recordings(arguments.voices, rows):
        _, earlier, earlier_s = heard(path, before)
        language, now, _ = heard(path, both)
        without, _, _ = heard(path, alone)
        unsure.update({names[0]: language != "en", names[1]: without != "en"})
        errors.setdefault(corpus, []).append((plain(sentence), plain(earlier), plain(now)))
        samples = samples_of(path)
        start = time.perf_counter()
        LanguageIdentifier(both.multilingual).probabilities(samples)
        identification_s += time.perf_counter() - start
        recognition_s += earlier_s
        audio_s += probe(path).duration_s
        if language != "en" or without != "en":
            print(f"unsure: {path.name} {language_name(language)} / {language_name(without)}: {earlier}", flush=True)
    n = sum(map(len, errors.values()))
    print(f"\nEnglish recordings called unsure, of {n}: " + ", ".join(f"{unsure[name]} {name}" for name in names))
    print("\n| sentences | word error rate before | now |\n|---|---|---|")
    for corpus, texts in errors.items():
        wanted, earlier_texts, now_texts = (list(each) for each in zip(*texts, strict=True))
        rates = [word_error_rate(each, wanted) for each in (earlier_texts, now_texts)]
        print(f"| {corpus}, {len(texts)} recordings | {rates[0]:.3f} | {rates[1]:.3f} |")
    share = identification_s / recognition_s
    print(f"\nIdentification took {100 * share:.0f} % of the time of recognition, for {audio_s:.0f} s of English.")


if __name__ == "__main__":
    main()
