"""Text extractors: transcripts or single words -> vectors."""
