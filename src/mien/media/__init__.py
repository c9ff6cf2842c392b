"""Raw video -> clips: decoding at presentation times, subtitles, speech recognition, segmentation."""

from mien.media.clips import FIXED_CLIPS, NO_AUDIO, Clips, MediaSettings, clips_of
from mien.media.container import MediaFacts, probe
from mien.media.decode import AUDIO_RATE_HZ, AudioChunk, Frame, audio_chunks, frames, read_audio
from mien.media.segmentation import SegmentationSettings, fixed_clips, utterances
from mien.media.speech import NO_SPEECH, Recognizer, Speech, SpeechSettings, load_recognizer, recognize
from mien.media.subtitles import read_subtitles
from mien.media.weights import SPEECH_MODELS, find_speech_model
from mien.media.word_times import timed_words

__all__ = [
    "AUDIO_RATE_HZ",
    "FIXED_CLIPS",
    "NO_AUDIO",
    "NO_SPEECH",
    "SPEECH_MODELS",
    "AudioChunk",
    "Clips",
    "Frame",
    "MediaFacts",
    "MediaSettings",
    "Recognizer",
    "SegmentationSettings",
    "Speech",
    "SpeechSettings",
    "audio_chunks",
    "clips_of",
    "find_speech_model",
    "fixed_clips",
    "frames",
    "load_recognizer",
    "probe",
    "read_audio",
    "read_subtitles",
    "recognize",
    "timed_words",
    "utterances",
]
