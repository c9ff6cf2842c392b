"""Text extractors. They compute feature vectors of transcripts and of single words."""
