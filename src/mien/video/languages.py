"""Which languages a model knows, and which utterances get no prediction because of their language.

What a model knows stands in the card of the Dataset on which it was trained (`origin.languages`), from where the card
of the Run has it (`dataset.languages`).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mien.media.clips import Clips
from mien.media.languages import LANGUAGE_NAMES, UNDETERMINED, language_name
from mien.media.recognition import SpeechSettings
from mien.schema import LANGUAGES, Clip, Modality
from mien.storage.runs import Run

# text extractor -> languages that it knows; other extractors are not known to be limited to some languages
EXTRACTOR_LANGUAGES = {"minilm": ("en",), "glove-6b-50d": ("en",)}
# Recordings in a language are that of a Dataset if they are at least this share of its recordings. A single recording
# may be in another language, or be misunderstood.
LEAST_SHARE = 0.1
RECORDINGS_IN = "recordings with recognised speech in "
# followed by the name of a language that the text extractor does not know
EXTRACTOR_LANGUAGE_UNKNOWN = "recordings in "
NOT_STATED = (
    "utterances whose language the model may not know, because its card states none: judged all the same; "
    "--language of mien import and mien extract states it"
)


def known_languages(run: Run) -> tuple[str, ...]:
    """Return the codes of the languages whose words a model knows.

    The result is empty if they are not stated, or if the model does not use words.
    """
    return tuple(run.dataset.get(LANGUAGES, ())) if Modality.TEXT in run.inputs else ()


def withhold_unknown_languages(clips: Clips, run: Run) -> Clips:
    """Mark the clips that a model cannot judge because of their language.

    Args:
        clips: Utterances of a recording.
        run: The model. If it does not use words, it judges all of them.

    Returns:
        The utterances. `not_judged` has the reason where there is one, and `notes` counts each reason.
    """
    known, name, notes = known_languages(run), run.folder.name, Counter(clips.notes)
    if Modality.TEXT not in run.inputs:
        return clips
    marked = []
    for clip in clips.clips:
        reason = clip.not_judged or _why_not_judged(clip, clips.why_undetermined, known, name)
        if reason and clip.language != UNDETERMINED and not clip.not_judged:
            notes[f"{reason}: no prediction; train a model of that language, or correct it with --language"] += 1
        if clip.language and not known:
            notes[NOT_STATED] += 1
        marked.append(replace(clip, not_judged=reason))
    return replace(clips, clips=marked, notes=notes)


def _why_not_judged(clip: Clip, why_undetermined: str, known: Sequence[str], name: str) -> str:
    if clip.language == UNDETERMINED:
        return why_undetermined
    knows = f"{name} knows {' and '.join(map(language_name, known))}"
    if clip.language and known and clip.language not in known:
        return f"{language_name(clip.language)}; {knows}"
    # Only English is certain to be written in Latin letters: Serbian, for example, has two scripts.
    if not clip.language and tuple(known) == ("en",) and (script := _other_script(clip.transcript)):
        return f"written in {script} letters; {knows}"
    return ""


def _other_script(text: str) -> str:
    """Return the script of a text, such as "Cyrillic"; empty if at least half of its letters are Latin."""
    scripts = Counter(unicodedata.name(letter, "unknown").split()[0] for letter in text if letter.isalpha())
    if not scripts or scripts["LATIN"] * 2 >= scripts.total():
        return ""
    script = max((name for name in scripts if name != "LATIN"), key=lambda name: scripts[name])
    return {"CJK": "Chinese"}.get(script, script.capitalize())


def count_language(notes: Counter[str], code: str) -> None:
    """Count the language of the recognised speech of one recording.

    Args:
        notes: Counter of messages, updated in place.
        code: Code of the language; empty if there is no speech, so that nothing is counted.
    """
    if code:
        notes[f"{RECORDINGS_IN}{language_name(code)}"] += 1


def record_languages(origin: dict[str, Any], settings: SpeechSettings) -> None:
    """Record the languages of an extracted Dataset in its origin, and note those that its text extractor does not know.

    Args:
        origin: Origin of the Dataset, updated in place. Its notes have the counts of `count_language`.
        settings: If the user gave a language, it is in these settings. Otherwise the recognised languages are recorded.
    """
    notes: Counter[str] = origin["notes"]
    text_extractor = origin["extractors"].get(Modality.TEXT, "")
    counts = Counter({code: notes[f"{RECORDINGS_IN}{name}"] for code, name in LANGUAGE_NAMES.items()})
    least = LEAST_SHARE * counts.total()
    languages = (
        [settings.language]
        if settings.language
        else [code for code, count in counts.most_common() if count and count >= least]
    )
    if languages:
        origin[LANGUAGES] = languages
    known = EXTRACTOR_LANGUAGES.get(text_extractor)
    for code in languages:
        if known and code not in known:
            names = " and ".join(map(language_name, known))
            language = language_name(code)
            notes[f"{EXTRACTOR_LANGUAGE_UNKNOWN}{language}, but the text extractor {text_extractor} knows {names}"] += 1
