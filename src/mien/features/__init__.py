"""From a clip to vectors: text, voice and face. `extractors` is the table of what there is."""
