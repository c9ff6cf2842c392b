"""`mien demo` as a user runs it: a real clip decoded, heard, watched and judged, and its page in a real browser."""

from __future__ import annotations

import difflib
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from tests.video.browser import open_chromium

import mien
from mien.media.subtitles import read_subtitles
from mien.video.demo import sample_clip
from mien.video.outputs import OUTPUTS, read_analysis_json

# the second sentence is heard while a title card stands where the face was
CARD = 1


@pytest.fixture(scope="module")
def called(tmp_path_factory):
    """What `mien demo` printed, and the folder it wrote."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    command = [sys.executable, "-m", "mien", "demo", "--out", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True), folder


@pytest.fixture(scope="module")
def analysis(called):
    return read_analysis_json(called[1] / "analysis.json")


@pytest.fixture(scope="module")
def written():
    """The sentences as they were written, and when the voice says them."""
    cues, notes = read_subtitles(sample_clip().with_suffix(".srt"), 60.0)
    assert not notes
    return cues


@pytest.fixture(scope="module")
def page(called, tmp_path_factory):
    driver = open_chromium(tmp_path_factory.mktemp("profile"))
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    for kind in ("browser", "performance"):
        driver.get_log(kind)
    driver.get((called[1] / "report.html").as_uri())
    yield driver
    driver.quit()


def words(text):
    return re.findall(r"[a-z']+", text.lower())


def test_it_prints_a_table_and_where_the_report_is(called, analysis):
    done, folder = called
    assert {path.name for path in folder.iterdir()} == set(OUTPUTS)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("A clip made for mien")
    assert lines[-1] == f"Report: {folder / 'report.html'}"
    assert sum(bool(re.search(r"[0-9] - [0-9.]+ s ", line)) for line in lines) == len(analysis.utterances)
    assert "hears words only" in done.stdout


def test_every_sentence_is_one_utterance(analysis, written):
    assert len(analysis.utterances) == len(written)
    for found, cue in zip(analysis.utterances, written, strict=True):
        shared = min(found.end_s, cue.end_s) - max(found.start_s, cue.start_s)
        whole = max(found.end_s, cue.end_s) - min(found.start_s, cue.start_s)
        # the shortest sentence lasts 0.8 s: a pause kept at its ends weighs much there
        assert shared / whole >= (0.7 if cue.end_s - cue.start_s > 2 else 0.4), (found, cue)


def test_most_words_are_understood(analysis, written):
    said = words(" ".join(cue.transcript for cue in written))
    heard = words(" ".join(row.transcript for row in analysis.utterances))
    alike = sum(
        block.size for block in difflib.SequenceMatcher(None, said, heard, autojunk=False).get_matching_blocks()
    )
    assert alike / len(said) >= 0.8


def test_what_is_plain_in_the_words_is_found(analysis):
    """Not a score: the sentences were written to say it."""
    happy, _, _, _, sad = analysis.utterances[:5]
    assert happy.sentiment.label == "positive"
    assert "happy" in happy.labels
    assert sad.sentiment.label == "negative"
    assert "sad" in sad.labels


def test_voice_and_face_are_measured_beside_it(analysis):
    tracks = {track.name: track for track in analysis.tracks}
    assert not any(track.used_by_model for track in tracks.values())
    present = tracks["face present"]
    card = analysis.utterances[CARD]
    inside = (np.array(present.times_s) > card.start_s + 0.6) & (np.array(present.times_s) < card.end_s - 0.6)
    assert np.mean(np.array(present.values)[inside]) < 0.2
    assert np.mean(np.array(present.values)[np.array(present.times_s) > card.end_s + 1]) > 0.9
    # a synthetic voice of a woman
    pitch = np.array([value for value in tracks["pitch"].values if value is not None], dtype=float)
    assert 120 < np.nanmedian(pitch) < 300


def test_its_page_works_in_a_browser(page, analysis):
    from selenium.webdriver import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    def wait(script):
        return WebDriverWait(page, 20).until(lambda driver: driver.execute_script(f"return {script}"))

    # the clip stands inside the page and is decoded
    wait("document.querySelector('video').readyState >= 2")
    assert page.execute_script("return document.querySelector('video').currentSrc").startswith(("data:", "blob:"))
    fifth = analysis.utterances[4]
    page.find_element("css selector", f"#utterance-{fifth.index}").click()
    wait(f"Math.abs(document.querySelector('video').currentTime - {fifth.start_s}) < 0.3")
    assert page.execute_script("return document.body.innerText").count(fifth.transcript) >= 2
    n = len(analysis.utterances)
    assert np.array(analysis.attention["text->text"]).shape == (n, n)
    assert page.execute_script("return document.querySelectorAll('.heat canvas').length") == 1
    page.find_element("css selector", "body").send_keys("m" + Keys.ARROW_RIGHT + Keys.ARROW_DOWN)
    readout = page.execute_script("return document.querySelector('#attention-readout').innerText")
    row, column = (int(text) - 1 for text in re.findall(r"u([0-9]+) ", readout))
    assert readout.endswith(f": {analysis.attention['text->text'][row, column]:.3f}")
    assert page.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    addresses = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    assert addresses
    assert all(address.startswith(("file:", "data:", "blob:")) for address in addresses)


def test_the_function_refuses_a_place_that_is_no_folder(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("somebody's")
    with pytest.raises(mien.errors.MienError, match="Expected to write"):
        mien.demo(blocked)
    assert blocked.read_text() == "somebody's"
