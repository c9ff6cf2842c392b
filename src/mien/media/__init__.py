"""A recording -> clips: container, decoding, voice activity, recognition, subtitles, segmentation."""
