"""Work side by side: the same bytes whatever the number of workers, an end that ends everything, bounded long films."""

from __future__ import annotations

import numpy as np
import pytest
from tests.cli.test_video_commands import piece_of
from tests.video.test_extract import sounding_file, write_subtitles

from mien.errors import MissingWeightsError
from mien.video import analyze as workflow
from mien.video.analysis import Track, TrackSource
from mien.video.analyze import AnalyzeRequest, analyze
from mien.video.measurements import MOST_TRACK_POINTS, bounded
from mien.video.outputs import OUTPUTS, read_analysis_json


def analysed(videos, out, request):
    try:
        return analyze(videos, out, request)
    except MissingWeightsError as error:
        pytest.skip(str(error))


def written(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two sounding files with subtitles that fit both, and one that is none."""
    folder = tmp_path_factory.mktemp("films")
    paths = [sounding_file(folder / f"{name}.mp4", f0_hz) for name, f0_hz in (("low", 110), ("high", 210))]
    bad = folder / "bad.mp4"
    bad.write_bytes(b"no film")
    subtitles = folder / "subtitles"
    subtitles.mkdir()
    for path in (*paths, bad):
        write_subtitles(subtitles / f"{path.stem}.srt")
    return [paths[0], bad, paths[1]], subtitles


def test_the_number_of_workers_changes_no_byte(films, tmp_path):
    paths, subtitles = films
    outputs = {}
    for workers in (1, 3):
        folder = tmp_path / str(workers)
        done, failed = analysed(paths, folder, AnalyzeRequest(subtitles=subtitles, workers=workers))
        assert list(done) == [paths[0], paths[2]]
        assert list(failed) == [paths[1]]
        outputs[workers] = written(folder)
    assert len(outputs[1]) == 2 * len(OUTPUTS)
    assert outputs[1] == outputs[3]
    names = [track.name for track in read_analysis_json(tmp_path / "1/low/analysis.json").tracks]
    assert names[:3] == ["loudness", "pitch", "face present"]


@pytest.mark.data
@pytest.mark.slow
def test_recognition_beside_the_face_changes_no_byte(data_dir, tmp_path):
    film = piece_of(data_dir / "videos/-3nNcZdcdvU.mp4", tmp_path / "film.mp4", 14.0)
    for workers in (1, 2):
        assert analyze([film], tmp_path / str(workers), AnalyzeRequest(workers=workers))[1] == {}
    assert written(tmp_path / "1") == written(tmp_path / "2")
    assert len(read_analysis_json(tmp_path / "1/analysis.json").utterances) >= 1


def test_attention_between_too_many_utterances_is_left_out_and_said(films, tmp_path, monkeypatch):
    paths, subtitles = films
    request = AnalyzeRequest(subtitles=subtitles, tracks=False)
    whole = analysed(paths[:1], tmp_path / "whole", request)[0][paths[0]]
    assert [weights.shape for weights in whole.attention.values()] == [(3, 3)]
    monkeypatch.setattr(workflow, "MOST_ATTENTION_UTTERANCES", 2)
    without = analysed(paths[:1], tmp_path / "without", request)[0][paths[0]]
    assert without.attention == {}
    assert without.utterances == whole.utterances
    assert "attention is left out: 3 utterances, more than 2" in without.notes


def test_a_long_track_becomes_means_and_says_so():
    times_s = np.arange(12) / 2
    values = np.array([1.0, 3.0, 5.0, np.nan, 2.0, 4.0, np.nan, np.nan, np.nan, 0.0, 1.0, 2.0])
    track = Track("pitch", "Hz", TrackSource.VOICE, times_s, values, True, "how high", (0.0, 9.0))
    short = bounded(track, max_points=4)
    np.testing.assert_array_equal(short.times_s, [0.5, 2.0, 3.5, 5.0])
    np.testing.assert_array_equal(short.values, [3.0, 3.0, np.nan, 1.0])
    assert short.note == "how high; means over 1.5 s, because the film is long"
    assert (short.name, short.unit, short.axis, short.used_by_model) == ("pitch", "Hz", (0.0, 9.0), True)
    assert bounded(track, max_points=12) is track
    six_hours = np.arange(6 * 36_000) / 10
    assert len(bounded(Track("loudness", "dB", TrackSource.VOICE, six_hours, six_hours)).times_s) == MOST_TRACK_POINTS
