"""Acoustic extractors: the samples of an utterance -> vectors."""
