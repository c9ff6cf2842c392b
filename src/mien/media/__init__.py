"""Division of media files into clips: reading of files, speech detection and recognition, subtitles, segmentation."""
