"""A headless Chromium for one test session, and small videos it can play."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
    "--force-device-scale-factor=1",
)


def open_chromium(profile: Path):
    """A driver with a fresh profile, console and network logs on; skips where Chromium is absent."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium and chromedriver are not installed: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))


def write_video(path: Path, duration_s: float = 60.0, rate: int = 2) -> Path:
    """A silent VP8 film whose brightness follows the clock."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 160, 90, "yuv420p"
        stream.time_base = Fraction(1, rate)
        stream.options = {"deadline": "realtime", "cpu-used": "8", "g": "2"}
        n_frames = int(duration_s * rate)
        for number in range(n_frames):
            picture = np.full((90, 160, 3), 40 + 160 * number // n_frames, dtype=np.uint8)
            picture[30:60, 10 + 100 * number // n_frames :][:, :30] = (230, 190, 150)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
