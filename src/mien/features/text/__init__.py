"""Text extractors: feature vectors of transcripts and of single words."""
