"""A training that asks for processors that this machine lacks is refused with the reason."""

from __future__ import annotations

import dataclasses
import typing

import pytest
import torch

from mien.errors import SettingsError
from mien.training.accelerators import require_accelerator, require_devices
from mien.training.devices import launch_fabric
from mien.training.train_settings import ACCELERATORS, PRECISIONS, TrainSettings


@pytest.fixture
def installed_torch(tmp_path, monkeypatch):
    """Make the metadata of the installed torch state another version."""

    def state(version):
        folder = tmp_path / "site" / f"torch-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        monkeypatch.syspath_prepend(tmp_path / "site")

    return state


@pytest.fixture
def two_gpus(installed_torch, monkeypatch):
    installed_torch("9.0+cu999")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize("name", ["cuda", "gpu"])
def test_a_build_for_cpus_is_the_reason(installed_torch, name):
    installed_torch("9.0+cpu")
    with pytest.raises(SettingsError) as caught:
        require_accelerator(name)
    assert str(caught.value).startswith(f"Expected torch built with CUDA for accelerator={name}, but got torch 9.0+cpu")
    assert "accelerator=cpu" in str(caught.value)


def test_without_a_device_torch_gives_the_reason(installed_torch, monkeypatch):
    def refuse():
        raise RuntimeError("Found no NVIDIA driver on your system.\nInstall one.")

    installed_torch("9.0+cu999")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", refuse)
    with pytest.raises(SettingsError) as caught:
        require_accelerator("cuda")
    assert "Expected a GPU for accelerator=cuda, but got none" in str(caught.value)
    assert "(Found no NVIDIA driver on your system.)" in str(caught.value)
    assert "nvidia-smi" in str(caught.value)


@pytest.mark.usefixtures("two_gpus")
def test_two_gpus_take_a_training_on_one_and_on_two():
    for accelerator in ("cuda", "auto"):
        for devices in (1, 2):
            require_devices({"accelerator": accelerator, "devices": devices})
        with pytest.raises(SettingsError, match="Expected devices to be at most 2, .* but got 3; lower devices"):
            require_devices({"accelerator": accelerator, "devices": 3})
    require_devices({"accelerator": "cpu", "devices": 3})


def test_a_classical_system_and_a_cpu_without_gpus_are_never_refused(installed_torch, monkeypatch):
    installed_torch("9.0+cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    require_devices({})
    for accelerator in ("auto", "cpu"):
        require_devices({"accelerator": accelerator, "devices": 9})


def test_the_gpu_of_a_mac_is_one(installed_torch, monkeypatch):
    installed_torch("9.0+cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    require_devices({"accelerator": "mps", "devices": 1})
    with pytest.raises(SettingsError, match="at most 1"):
        require_devices({"accelerator": "mps", "devices": 2})
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(SettingsError, match="Expected a GPU of Apple for accelerator=mps"):
        require_accelerator("mps")


def test_fabric_knows_every_name():
    from lightning_fabric.accelerators import ACCELERATOR_REGISTRY
    from lightning_fabric.connector import _PRECISION_INPUT_STR, _PRECISION_INPUT_STR_ALIAS

    assert {*ACCELERATORS} <= {"auto", "gpu", *ACCELERATOR_REGISTRY.available_accelerators()}
    known = {*typing.get_args(_PRECISION_INPUT_STR), *typing.get_args(_PRECISION_INPUT_STR_ALIAS)}
    assert {*PRECISIONS} == {name for name in known if not name.startswith("transformer-engine")}


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="Fabric refuses nothing here")
def test_what_fabric_refuses_names_the_settings():
    settings = dataclasses.replace(TrainSettings(), accelerator="mps")
    with pytest.raises(SettingsError, match="but got accelerator=mps, devices=1 and precision=32-true: .*MPSAcc"):
        launch_fabric(settings)
