"""Video ids that end in the number of an utterance, such as ``video[3]`` or ``video_3``.

If such ids are taken for ids of videos, an utterance has no context, and a random split puts utterances of one video
into several splits. `numbered_ids` recognises them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mien.schema import SPLIT_SPELLINGS

# notations that published data sets use for the utterances of a video, and that do not occur in ids of videos
UNAMBIGUOUS = (re.compile(r"(.+)\[(\d{1,18})\]", re.DOTALL), re.compile(r"(.+)\$_\$(\d{1,18})", re.DOTALL))
# "video_3", "video-3", "video/3", "video#3", "video_utt3", "video_F003", "video (3)", or file names of this kind
ENDING = re.compile(
    r"(.+?)(?:[\W_]+(?:[a-z]{1,2}[\W_]*)?|[\W_]*(?:utterance|utt|segment|seg|sentence|sent|clip|part|turn)[\W_]*)"
    r"(\d{1,18})[)\]}]?"
    r"(?:\.(?:wav|mp3|mp4|flac|avi|mkv|webm|m4a|npy|txt))?",
    re.DOTALL | re.IGNORECASE,
)
# "video_12.5_15.25": start and end in seconds
TIMES = re.compile(
    r"(.+?)[\W_]+(?=\d*\.\d|\d+[\W_]+\d+\.\d)\d{1,9}(?:\.\d{1,9})?[\W_]+\d{1,9}(?:\.\d{1,9})?", re.DOTALL
)
# "talkA03": a number of at least two digits right after a letter. Ids of videos often look like this, such as "dia12".
GLUED = re.compile(r"(.*[^\W\d_])(\d{2,18})", re.DOTALL)
# longer ids are not compared, because the time to match them grows with the square of their length
LONGEST_ID = 200
# shares of the ids that have the notation, that have one utterance, and that share their video with another id
LEAST_NUMBERED = 0.9
LEAST_SINGLE = 0.95
LEAST_SHARING = 0.05
# the last share, for ids that end in a number right after a letter
LEAST_SHARING_GLUED = 0.9


@dataclass(frozen=True, slots=True)
class NumberedIds:
    """Ids of utterances that a data set has in place of video ids."""

    # id -> id of the video, and number of the utterance; None if the id ends in times
    parts: Mapping[str, tuple[str, int | None]]
    # whether the notation is one of those that cannot occur in ids of videos
    is_unambiguous: bool

    def videos_in_several_splits(self, splits: Mapping[str, str | None]) -> list[str]:
        """Return the sorted ids of videos with utterances in more than one split.

        Args:
            splits: Id, as in the data set -> its split; None if it has no split.

        Returns:
            Ids without the number.
        """
        by_video: dict[str, set[str]] = {}
        for name, (video, _) in self.parts.items():
            if (split := splits.get(name)) is not None:
                by_video.setdefault(video, set()).add(split)
        return sorted(video for video, its_splits in by_video.items() if len(its_splits) > 1)


def numbered_ids(n_utterances: Mapping[str, int]) -> NumberedIds | None:
    """Recognise ids of utterances among ids of videos.

    They are recognised if nearly every id has one utterance and ends in a number in the same notation, and many of them
    differ only in this number. Ids that name a split, or a single series of recordings ("talk_1", "talk_2"), are not
    recognised.

    Args:
        n_utterances: Video id -> number of its utterances.

    Returns:
        The parts of the ids; None if they are ids of videos.
    """
    singles = sum(count == 1 for count in n_utterances.values())
    if len(n_utterances) < 2 or singles < LEAST_SINGLE * len(n_utterances):
        return None
    for pattern in (*UNAMBIGUOUS, ENDING, TIMES, GLUED):
        parts = split_ids(n_utterances, (pattern,))
        if len(parts) < LEAST_NUMBERED * len(n_utterances):
            continue
        n_by_video = Counter(video for video, _ in parts.values())
        n_sharing = sum(count for count in n_by_video.values() if count > 1)
        least = LEAST_SHARING_GLUED if pattern is GLUED else LEAST_SHARING
        if n_sharing < max(2, least * len(n_utterances)):
            continue
        if pattern in UNAMBIGUOUS:
            return NumberedIds(parts, True)
        # an id such as "train-00012" names a split and no video
        named = {video for video in n_by_video if video.strip("_-").lower() not in SPLIT_SPELLINGS}
        if len(named) > 1:
            return NumberedIds(parts, False)
    return None


def split_ids(
    ids: Iterable[str], patterns: tuple[re.Pattern[str], ...] = (*UNAMBIGUOUS, ENDING)
) -> dict[str, tuple[str, int | None]]:
    """Split each id into the id of a video and the number of an utterance.

    Args:
        ids: Ids to split.
        patterns: Notations to try, in this order.

    Returns:
        Id -> id of the video, and number. Ids in none of the notations are left out.
    """
    parts: dict[str, tuple[str, int | None]] = {}
    for name in ids:
        if len(name) > LONGEST_ID:
            continue
        match = next((found for pattern in patterns if (found := pattern.fullmatch(name))), None)
        if match:
            number = match[2] if match.re.groups > 1 else None
            parts[name] = (match[1], None if number is None else int(number))
    return parts
