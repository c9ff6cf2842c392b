"""Visual extractors. They compute feature vectors of the main face in the frames of a video."""
