"""report.html in a headless Chromium, opened from disk: seek, links, evidence, heat-map, keys, phone, no request."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tests.video import examples
from tests.video.browser import open_chromium, write_video

from mien.video.outputs import write_outputs
from mien.video.page import PageSettings

PHONE_PX = 360


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    driver = open_chromium(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "trail camera #1.webm")


@pytest.fixture
def show(chromium, tmp_path):
    """Write an analysis, open its page, and at the end see that nobody complained and nothing was requested."""
    quiet = {"console": True}

    def open_page(analysis, *, width=1440, height=900, dark=False, complains=False, settings=None, moment=""):
        quiet["console"] = not complains
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})
        paths = write_outputs(tmp_path / "out", analysis, settings)
        for kind in ("browser", "performance"):
            chromium.get_log(kind)
        # another address that differs in its moment alone would not load the page again
        chromium.get("about:blank")
        chromium.get(paths["report.html"].as_uri() + moment)
        return Page(chromium)

    yield open_page
    assert not chromium.execute_script("return window.hacked")
    messages = chromium.get_log("browser")
    assert not quiet["console"] or messages == []
    requested = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    addresses = [
        entry["params"]["request"]["url"] for entry in requested if entry["method"] == "Network.requestWillBeSent"
    ]
    assert addresses, "the log holds at least the page itself"
    assert all(address.startswith(("file:", "data:", "blob:")) for address in addresses), addresses


class Page:
    """What the tests look at."""

    def __init__(self, driver):
        self.driver = driver

    def run(self, script):
        return self.driver.execute_script(f"return {script}")

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def text(self, selector):
        return self.run(f"document.querySelector({selector!r}).innerText")

    def wait(self, script):
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 20).until(lambda _: self.run(script))

    def press(self, *keys):
        from selenium.webdriver import ActionChains

        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def selected(self):
        return self.text('#transcript [aria-selected="true"] .name')

    def position(self):
        return self.run("document.querySelector('video').currentTime")


def test_an_utterance_clicked_seeks_the_video_and_shows_its_evidence(show, video):
    page = show(examples.realistic(video))
    page.wait("document.querySelector('video').readyState >= 1")
    page.find("#utterance-6").click()
    page.wait("!document.querySelector('video').seeking")
    assert page.position() == pytest.approx(examples.STARTS_S[6], abs=0.25)
    assert page.selected() == "u7"
    assert page.text("#evidence-title") == "Utterance u7"
    assert examples.SAID[6] in page.text("#evidence blockquote")
    rows = page.run(
        "[...document.querySelectorAll('.bars tr')].map((row) => row.innerText.replace(/\\s+/g, ' ').trim())"
    )
    assert rows[0] == "Positive 0.88 ≥ 0.50"
    assert "Happy 0.77 ≥ 0.52" in rows
    assert "Anger 0.04 < 0.21" in rows
    assert page.run("document.querySelectorAll('.swings tbody tr').length") == 8
    # and by the numbered block above the lanes
    page.find(".block:nth-child(3)").click()
    page.wait("!document.querySelector('video').seeking")
    assert page.position() == pytest.approx(examples.STARTS_S[2], abs=0.25)
    assert page.selected() == "u3"


def test_predicted_degrees_stand_beside_the_probabilities(show, video):
    page = show(replace(examples.graded(), video=examples.realistic(video).video))
    page.find("#utterance-1").click()
    cells = "[...document.querySelectorAll('.degrees tr')].map((row) => row.innerText.replace(/\\s+/g, ' ').trim())"
    assert page.run(cells) == ["Sentiment −0.75", "Anger 0.25", "Happy 3.00"]
    widths = page.run("[...document.querySelectorAll('.degrees .wide span span')].map((fill) => fill.style.width)")
    # of a scale with its zero in the middle, and of one that begins at zero
    assert widths == ["12.5%", "8.33333%", "100%"]
    lane = "[...document.querySelectorAll('.lane')].find((row) => row.innerText.includes('Sentiment, degree'))"
    assert page.run(f"{lane}.querySelector('.lane-value').innerText") == "−0.75"
    # the utterance that could not be predicted, and a model without degrees
    page.find("#utterance-3").click()
    assert page.run("document.querySelectorAll('.degrees').length") == 0
    assert page.run(f"{lane}.querySelector('.lane-value').innerText") == "–"
    page = show(examples.realistic(video))
    assert page.run("document.querySelectorAll('.degrees').length") == 0
    assert page.run(f"{lane} === undefined")


def test_what_is_missing_is_said(show, video):
    page = show(examples.realistic(video))
    page.find("#utterance-5").click()
    assert "Face missing: no face in 14 of 14 sampled frames" in page.text("#evidence .gone")
    assert page.run("[...document.querySelectorAll('.swings thead th')].map((cell) => cell.innerText)") == [
        "Text",
        "Voice",
    ]
    assert "missing here" in page.text("#evidence .context")


def test_a_link_to_a_moment_opens_it_and_the_back_button_returns(show, video):
    page = show(examples.realistic(video), moment="#t=20.5")
    page.wait("document.querySelector('video').readyState >= 1 && !document.querySelector('video').seeking")
    # inside the fifth utterance, not at its start, and not at the frame that stands for the video
    assert page.position() == pytest.approx(20.5, abs=0.25)
    assert page.selected() == "u5"
    page.find("#utterance-7").click()
    assert page.run("location.hash") == f"#t={examples.STARTS_S[7]:g}"
    page.find("#link").click()
    assert page.text("#link-said") in ("Link copied", "The link is in the address bar")
    page.driver.back()
    page.wait("document.querySelector('#transcript [aria-selected=\"true\"] .name').innerText === 'u5'")
    page.wait("!document.querySelector('video').seeking")
    assert page.position() == pytest.approx(20.5, abs=0.25)


def test_the_frame_that_stands_for_the_video_is_no_moment_of_the_reader(show, video):
    analysis = examples.realistic(video)
    page = show(analysis)
    page.wait("document.querySelector('video').readyState >= 2 && !document.querySelector('video').seeking")
    shown = float(page.run("document.querySelector('video').getAttribute('src').split('#t=')[1]"))
    assert page.position() == pytest.approx(shown, abs=0.25)
    assert page.text("#clock").startswith("0:00.0 of")
    page.press(" ")
    page.wait("!document.querySelector('video').paused && document.querySelector('video').currentTime > 0")
    assert page.position() < shown
    page.press(" ")


def test_the_strongest_passages_stand_before_the_lanes_and_link_to_their_moments(show, video):
    analysis = examples.realistic(video)
    page = show(analysis)
    rows = page.run(
        "[...document.querySelectorAll('.passage')].map((link) => [link.querySelector('.chip').innerText, link.hash])"
    )
    positive = [utterance.answers["sentiment"].probabilities["positive"] for utterance in analysis.utterances]
    most, least = int(np.argmax(positive)), int(np.argmin(positive))
    assert rows[0] == [f"positive {max(positive):.2f}", f"#t={examples.STARTS_S[most]:g}"]
    assert rows[1] == [f"negative {1 - min(positive):.2f}", f"#t={examples.STARTS_S[least]:g}"]
    happy = [u.emotions["happy"] if "happy" in u.labels else 0.0 for u in analysis.utterances]
    assert [f"happy {max(happy):.2f}", f"#t={examples.STARTS_S[int(np.argmax(happy))]:g}"] in rows
    assert len(rows) <= 6
    assert page.run(
        "document.querySelector('#highlights-card').getBoundingClientRect().bottom"
        " <= document.querySelector('#timeline-card').getBoundingClientRect().top"
    )
    page.find(".passage:first-child time").click()
    page.wait(f"document.querySelector('#transcript [aria-selected=\"true\"] .name').innerText === 'u{most + 1}'")
    # nothing is praised where nothing was predicted
    page = show(examples.silent())
    assert not page.find("#highlights-card").is_displayed()


def test_speakers_and_the_reason_for_no_prediction_are_shown(show, video):
    analysis = examples.realistic(video)
    foreign = "French; mosei-text knows English"
    rows = [replace(each, speaker="Ana" if number % 2 else "Ben") for number, each in enumerate(analysis.utterances)]
    for number in (3, 4):
        rows[number] = replace(
            rows[number], answers={}, outputs={}, labels=(), contributions={}, not_judged=foreign, missing={}
        )
    page = show(replace(analysis, utterances=tuple(rows)))
    assert page.text("#utterance-3 .speaker") == "Ana"
    assert page.text("#utterance-3 .chips") == f"no prediction: {foreign}"
    assert page.text("#not-judged") == f"2 utterances without a prediction: {foreign}"
    page.find("#utterance-3").click()
    assert page.text("#evidence-time").startswith("Ana · 0:16.1 to")
    assert f"No prediction: {foreign}." in page.text("#evidence")


def test_tracks_of_the_face_are_folded_until_the_reader_opens_them(show, video):
    page = show(examples.realistic(video))
    lanes = "[...document.querySelectorAll('details .lane')].filter((lane) => lane.checkVisibility()).length"
    assert page.run(lanes) == 0
    page.find("details summary").click()
    assert page.run(lanes) == 3
    assert page.run(
        "[...document.querySelectorAll('details canvas')].every((one) => one.getBoundingClientRect().width"
        " === document.querySelector('.lane.prediction canvas').getBoundingClientRect().width)"
    )


def test_tracks_are_plainly_apart_from_the_prediction(show, video):
    page = show(examples.words_only(video))
    groups = page.run(
        "[...document.querySelectorAll('.lane-group')].map((group) => group.innerText.replace(/\\s+/g, ' '))"
    )
    assert groups == [
        "Predicted by mosei-text from text",
        "Voice, measured in the recording, not used by the model",
        "Face, measured in the recording, not used by the model 3 tracks",
    ]
    assert "hears words only" in page.text("#caveat")


def test_the_heat_map_shows_each_weight_where_it_belongs(show, video):
    from selenium.webdriver import ActionChains

    analysis = examples.realistic(video)
    page = show(analysis)
    assert page.run("document.querySelectorAll('.heat canvas').length") == 3
    heads = page.run("[...document.querySelectorAll('.halves')].map((head) => head.innerText.replace(/\\s+/g, ' '))")
    assert heads[1] == "Face attends to Text Text attends to Face"
    page.driver.execute_script("document.querySelectorAll('.heat')[1].scrollIntoView({block: 'center'})")
    over = page.driver.find_elements("css selector", ".heat .u-over")[1]
    width, height = over.size["width"], over.size["height"]
    # left half: attended to in the text; right half: attended to in the face
    for left, name, row, column in ((True, "visual->text", 3, 8), (False, "text->visual", 9, 1)):
        cell = width / (24 + 0.3)
        x = (column + 0.5) * cell if left else width - (12 - column - 0.5) * cell
        y = (row + 0.5) * height / 12
        ActionChains(page.driver).move_to_element_with_offset(over, int(x - width / 2), int(y - height / 2)).perform()
        tip = page.text("figure:nth-child(2) .tip")
        assert f"u{row + 1} (" in tip
        assert f"u{column + 1} (" in tip
        assert f"{analysis.attention[name][row, column]:.3f}" in tip


def test_the_heaviest_weight_is_painted_brightest_and_the_lightest_darkest(show, video):
    analysis = examples.realistic(video)
    page = show(analysis)
    # the second map's right half
    weights = analysis.attention["text->visual"]
    assert max(np.nanmax(matrix) for matrix in analysis.attention.values()) == weights.max()
    bright, dark = np.unravel_index(weights.argmax(), weights.shape), np.unravel_index(weights.argmin(), weights.shape)
    shades = page.run(
        "(() => { const box = document.querySelectorAll('.heat')[1], canvas = box.querySelector('canvas'),"
        " over = box.querySelector('.u-over'), cell = over.clientWidth / 24.3;"
        " const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
        f" return {[[int(row), int(column)] for row, column in (bright, dark)]}.map(([row, column]) => {{"
        " const x = Math.round(over.offsetLeft + over.clientWidth - (12 - column - 0.5) * cell);"
        " const y = Math.round(over.offsetTop + (row + 0.5) * over.clientHeight / 12);"
        " return [0, 1, 2].map((part) => data[4 * (y * canvas.width + x) + part]); }); })()"
    )
    # the two ends of Cividis
    assert np.abs(np.array(shades) - [(253, 231, 55), (0, 32, 81)]).max() < 25


def test_attention_is_read_with_the_keyboard_too(show, video):
    from selenium.webdriver import Keys

    analysis = examples.realistic(video)
    page = show(analysis)
    page.press("j", "m", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    weight = analysis.attention["acoustic->text"][2, 1]
    assert page.text("#attention-readout") == f"u3 (Voice) attends to u2 (Text): {weight:.3f}"
    page.press(Keys.ENTER)
    assert page.selected() == "u3"


def test_the_whole_page_works_from_the_keyboard(show, video):
    from selenium.webdriver import Keys

    page = show(examples.realistic(video))
    page.wait("document.querySelector('video').readyState >= 2")
    page.press("j", Keys.ARROW_DOWN, "j", "k")
    assert page.selected() == "u3"
    assert page.position() == pytest.approx(examples.STARTS_S[2], abs=0.25)
    page.press(Keys.END)
    assert page.selected() == "u12"
    page.press(Keys.HOME)
    assert page.selected() == "u1"
    page.press(Keys.SPACE)
    page.wait("!document.querySelector('video').paused")
    page.press(Keys.SPACE)
    page.wait("document.querySelector('video').paused")
    page.press("j", Keys.ENTER)
    page.wait(f"document.querySelector('video').currentTime > {examples.STARTS_S[1]}")
    assert not page.run("document.querySelector('video').paused")
    page.press(Keys.SPACE, "?")
    assert page.run("document.querySelector('#keys').open")
    page.press(Keys.ESCAPE)
    assert not page.run("document.querySelector('#keys').open")
    page.press("/", *"fox")
    assert page.run("[...document.querySelectorAll('#transcript li')].filter((row) => !row.hidden).length") == 1
    # letters typed into the field are no commands
    assert page.selected() == "u2"
    page.press(Keys.ESCAPE, "+")
    assert page.run("document.querySelector('.block').getBoundingClientRect().width") > 100


def test_selection_follows_the_video_while_it_plays(show, video):
    page = show(examples.realistic(video))
    page.wait("document.querySelector('video').readyState >= 2")
    page.run("void (document.querySelector('video').currentTime = 11.5)")
    page.run("void document.querySelector('video').play()")
    page.wait("document.querySelector('#transcript [aria-selected=\"true\"] .name').innerText === 'u3'")


@pytest.mark.parametrize(
    "make", [examples.realistic, examples.words_only, examples.long, examples.hostile, examples.silent]
)
def test_a_phone_needs_no_sideways_scrolling(show, make):
    page = show(make(), width=PHONE_PX, height=740, complains=make is examples.hostile)
    assert page.run("document.documentElement.scrollWidth") <= PHONE_PX
    wide = page.run(
        "[...document.querySelectorAll('body *')].filter((one) => one.getClientRects().length"
        " && one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.lane-plot, .unseen'))"
        ".map((one) => one.className)"
    )
    assert wide == []


def test_on_a_phone_the_transcript_comes_first_and_a_click_shows_the_details(show, video):
    page = show(examples.realistic(video), width=390, height=844)
    top = "document.querySelector({!r}).getBoundingClientRect().top"
    assert page.run(f"{top.format('#transcript-card')} < {top.format('#highlights-card')}")
    assert page.run(f"{top.format('#highlights-card')} < {top.format('#timeline-card')}")
    assert not page.find("#evidence-card").is_displayed()
    page.find("#utterance-2").click()
    assert page.find("#evidence-card").is_displayed()
    assert examples.SAID[2] in page.text("#evidence blockquote")
    assert page.run("document.querySelector('#evidence-card').getBoundingClientRect().bottom <= innerHeight")
    page.find("#next").click()
    assert page.text("#evidence-title") == "Utterance u4"
    page.find("#details-close").click()
    assert not page.find("#evidence-card").is_displayed()


def test_hostile_text_is_shown_as_text(show):
    page = show(examples.hostile(), complains=True)
    assert page.text("h1") == f"{examples.ATTACK}.mp4"
    assert examples.ATTACK in page.text("#evidence blockquote")
    assert page.run("document.images.length") == 0
    assert page.run("document.querySelectorAll('script').length") == 2


def test_without_its_video_the_page_still_works(show, tmp_path, video):
    lost = shutil.copy(video, tmp_path / "lost.webm")
    analysis = examples.realistic(lost)
    lost.unlink()
    page = show(analysis, complains=True)
    page.wait("!document.querySelector('#absent').hidden")
    assert "lost.webm" in page.text("#absent-text")
    page.find("#utterance-8").click()
    assert page.text("#evidence-title") == "Utterance u9"
    assert page.text("#clock").startswith("0:35.2 of 0:58.0")
    # the reader may point to the file
    page.find("#file").send_keys(str(video))
    page.wait("document.querySelector('video').readyState >= 1")
    page.find("#utterance-3").click()
    page.wait("!document.querySelector('video').seeking")
    assert page.position() == pytest.approx(examples.STARTS_S[3], abs=0.25)


def test_a_video_inside_the_page_plays(show, tmp_path):
    small = write_video(tmp_path / "small.webm", duration_s=8)
    page = show(examples.realistic(small), settings=PageSettings(embed=True))
    small.unlink()
    page.wait("document.querySelector('video').readyState >= 1")
    page.find("#utterance-1").click()
    page.wait("!document.querySelector('video').seeking")
    assert page.position() == pytest.approx(examples.STARTS_S[1], abs=0.25)


def test_light_and_dark_follow_the_system_and_the_reader(show, video):
    page = show(examples.realistic(video), dark=True)
    assert page.run("document.documentElement.dataset.theme") == "dark"
    dark = page.run("getComputedStyle(document.body).backgroundColor")
    page.find("#theme").click()
    assert page.run("document.documentElement.dataset.theme") == "light"
    assert page.run("getComputedStyle(document.body).backgroundColor") != dark
    page.run("void localStorage.clear()")


def test_paper_shows_the_whole_timeline_in_light(show, video):
    page = show(examples.realistic(video), dark=True)
    page.run("void dispatchEvent(new Event('beforeprint'))")
    assert page.run("document.documentElement.dataset.theme") == "light"
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    screen = {"width": 718, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    # a printer gives the script no time to draw anew: the plots keep the width they had on a screen
    page.run("document.querySelectorAll('.u-wrap, .uplot').forEach((plot) => { plot.style.width = '2000px'; })")
    cut = page.run(
        "[...document.querySelectorAll('.lane-plot canvas, .heat canvas')].filter((canvas) =>"
        " canvas.getBoundingClientRect().right >"
        " canvas.closest('.lane-plot, figure').getBoundingClientRect().right + 1)"
    )
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert cut == []


def test_two_hundred_utterances(show):
    page = show(examples.long())
    assert page.run("document.querySelectorAll('#transcript li').length") == 200
    page.find("#utterance-199").click()
    assert page.text("#evidence-title") == "Utterance u200"
    assert "index 398" in page.text("#evidence-time")


def test_a_silent_video_says_so(show):
    page = show(examples.silent())
    assert page.text("#no-match") == "No utterance was found in this recording."
    assert not page.find("#attention-card").is_displayed()
