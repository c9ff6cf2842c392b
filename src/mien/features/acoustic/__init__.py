"""Acoustic extractors. They compute feature vectors of the sound of an utterance."""
