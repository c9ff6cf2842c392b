"""report.html as text: whole, escaped, and allowed to do nothing but run its own script."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from tests.video import examples

from mien.video.outputs import OUTPUTS, write_outputs
from mien.video.page import MAX_TRACK_POINTS, MOST_EMBEDDED_MB, PageSettings, page, page_data, thinned, video_address

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "src" / "mien" / "video" / "assets"


class Reader(HTMLParser):
    """Elements with their attributes, and the text of scripts and styles."""

    def __init__(self):
        super().__init__()
        self.elements, self.texts, self.inside = [], [], None

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):  # noqa: ARG002
        self.inside = None

    def handle_data(self, data):
        if self.inside in ("script", "style"):
            self.texts.append((self.elements[-1], data))


def read(text):
    reader = Reader()
    reader.feed(text)
    return reader


def test_all_outputs_stand_in_the_folder(tmp_path):
    paths = write_outputs(tmp_path / "new" / "talk", examples.realistic())
    assert list(paths) == list(OUTPUTS)
    assert sorted(path.name for path in (tmp_path / "new" / "talk").iterdir()) == sorted(OUTPUTS)


@pytest.mark.parametrize("make", [examples.realistic, examples.hostile, examples.silent])
def test_the_policy_allows_the_one_script_and_the_one_style(tmp_path, make):
    reader = read(page(make(), tmp_path))
    policies = [
        attrs["content"] for tag, attrs in reader.elements if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'; ")
    assert "unsafe" not in policies[0]
    assert "http" not in policies[0]
    kinds = [(tag, attrs.get("type")) for (tag, attrs), _ in reader.texts]
    assert kinds == [("style", None), ("script", "application/json"), ("script", None)]
    for (tag, attrs), text in reader.texts:
        if attrs.get("type") is None:
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policies[0]
    # nothing is fetched, and nothing runs from an attribute
    addresses = [attrs[name] for _, attrs in reader.elements for name in ("src", "href") if name in attrs]
    assert all(address.startswith(("./", "#", "data:,")) for address in addresses)
    assert not any(name.startswith("on") or name == "style" for _, attrs in reader.elements for name in attrs)


def test_no_text_of_a_recording_becomes_markup(tmp_path):
    attacked, plain = page(examples.hostile(), tmp_path), page(examples.silent(), tmp_path)
    names = [tag for tag, _ in read(attacked).elements]
    assert names == [tag for tag, _ in read(plain).elements]
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', attacked, re.DOTALL)
    data = json.loads(block[1])
    assert data["utterances"][0]["text"].startswith(examples.ATTACK)
    # outside the data there is only the escaped title, twice
    assert "<script>window" not in attacked
    assert "<img" not in attacked
    assert attacked.replace(block[1], "").count("window.hacked = 1") == 2


def test_the_page_is_small_and_carries_the_notices(tmp_path):
    text = page(examples.silent(), tmp_path)
    assert len(text.encode()) < 200_000
    for name in ("uplot", "d3-scale-chromatic", "Leon Sorokin", "Mike Bostock", "Apache-Style Software License"):
        assert name in text
    for words in ("does not show what a person feels", "Do not use it to judge", "prohibited"):
        assert words in text


def test_the_video_is_found_beside_the_page(tmp_path):
    video = tmp_path / "videos" / "a b #1? 100% é:x.mp4"
    address = video_address(video, tmp_path / "out", PageSettings())
    assert address == "./../videos/a%20b%20%231%3F%20100%25%20%C3%A9%3Ax.mp4"
    assert video_address(tmp_path / "-3n.mp4", tmp_path, PageSettings()) == "./-3n.mp4"
    assert video_address(None, tmp_path, PageSettings(embed=True)) == ""


def test_a_small_video_can_stand_inside_the_page(tmp_path):
    video = tmp_path / "talk.webm"
    video.write_bytes(bytes(range(256)) * 4)
    inside = video_address(video, tmp_path, PageSettings(embed=True))
    kind, data = inside.split(",")
    assert kind == "data:video/webm;base64"
    assert base64.b64decode(data) == video.read_bytes()
    assert video_address(video, tmp_path, PageSettings()) == "./talk.webm"


def test_a_video_too_large_to_stand_inside_is_linked_and_the_page_says_so(tmp_path):
    video = tmp_path / "film.mp4"
    with open(video, "wb") as handle:
        handle.truncate(int(MOST_EMBEDDED_MB * 1_000_000) + 1)  # a hole: it takes no room on the disk
    analysis = examples.realistic(video)
    wanted = page(analysis, tmp_path, PageSettings(embed=True))
    assert 'src="./film.mp4#t=' in wanted
    assert "too large to stand inside the page (at most 100 MB)" in wanted
    assert "too large" not in page(analysis, tmp_path, PageSettings())


def test_long_tracks_are_thinned_to_means():
    times_s, values = np.arange(10.0), np.array([1, 3, np.nan, 5, np.nan, np.nan, 7, 7, 8, 10])
    thin_times_s, thin_values = thinned(times_s, values, 5)
    np.testing.assert_array_equal(thin_times_s, [0.5, 2.5, 4.5, 6.5, 8.5])
    np.testing.assert_array_equal(thin_values, [2, 5, np.nan, 7, 9])
    assert thinned(times_s, values, 10)[1] is values


def test_the_page_of_half_an_hour_stays_light(tmp_path):
    data = page_data(examples.long())
    assert max(len(track["t"]) for track in data["tracks"]) == MAX_TRACK_POINTS
    assert len(page(examples.long(), tmp_path).encode()) < 1_500_000


def test_the_built_files_belong_to_the_sources():
    """Without node: the sums that the build wrote are those of the files that are here."""
    lines = (ASSETS / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 15
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() == digest, f"{name}: run npm ci && npm run build"
    listed = {line.split("/")[-1] for line in lines if " web-src/src/" in line}
    assert listed == {path.name for path in (ROOT / "web-src" / "src").iterdir()}


def test_the_package_carries_what_the_page_needs():
    names = {path.name for path in resources.files("mien.video").joinpath("assets").iterdir()}
    assert {"page.html", "report.js", "report.css", "LICENSES.txt"} <= names
