"""Feature extraction from text, voice and face. `extractors` lists all extractors."""
