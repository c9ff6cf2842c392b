"""Acoustic extractors: feature vectors of the sound of an utterance."""
