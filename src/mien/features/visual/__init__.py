"""Visual extractors: the frames of a video -> vectors of the main face."""
