"""Media files to clips: container, decoding, voice activity, recognition, subtitles and segmentation."""
