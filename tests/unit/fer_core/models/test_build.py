"""The networks: sizes, seeds, weights from files."""

from typing import get_args

import pytest
import torch
from safetensors.torch import save_file

from fer_core.errors import ConfigError
from fer_core.models import weights
from fer_core.models.build import build
from fer_core.specs import ArchitectureName, ArchitectureSpec

SMALL = ArchitectureSpec(name="mobilenetv3_small_100", input_size=32)


def trainable(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", get_args(ArchitectureName))
def test_gives_seven_logits_for_each_image(name):
    model = build(ArchitectureSpec(name=name, input_size=64)).eval()
    with torch.inference_mode():
        logits = model(torch.zeros(2, 3, 64, 64))
    assert logits.shape == (2, 7)
    assert torch.isfinite(logits).all()


def test_nasnet_mobile_has_the_published_size():
    model = build(ArchitectureSpec(name="nasnet_mobile"), num_classes=1000)
    statistics = sum(buffer.numel() for name, buffer in model.named_buffers() if "running" in name)
    assert (trainable(model), statistics) == (5_289_978, 36_738)
    assert trainable(model) + statistics == 5_326_716


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("mobilenetv3_small_100", 1_525_031), ("mobilenetv2_100", 2_232_839), ("efficientnet_b0", 4_016_515)],
)
def test_seven_class_sizes(name, parameters):
    assert trainable(build(ArchitectureSpec(name=name))) == parameters


def test_seed_decides_the_weights_and_nothing_else():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first, again, other = build(SMALL, seed=3), build(SMALL, seed=3), build(SMALL, seed=4)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.classifier.weight, again.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_come_back_from_a_file(tmp_path, suffix):
    original = build(SMALL, seed=5)
    path = tmp_path / f"weights{suffix}"
    save_file(original.state_dict(), path) if suffix == ".safetensors" else torch.save(original.state_dict(), path)
    loaded = build(SMALL.model_copy(update={"weights": str(path)}), seed=6)
    for name, tensor in original.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_a_classifier_of_another_shape_keeps_its_own_weights(tmp_path):
    original = build(SMALL, num_classes=1000, seed=5)
    torch.save(original.state_dict(), tmp_path / "w.pth")
    loaded = build(SMALL.model_copy(update={"weights": str(tmp_path / "w.pth")}), seed=6)
    assert torch.equal(loaded.conv_stem.weight, original.conv_stem.weight)
    assert torch.equal(loaded.classifier.weight, build(SMALL, seed=6).classifier.weight)


def refusal(path):
    with pytest.raises(ConfigError) as caught:
        build(SMALL.model_copy(update={"weights": str(path)}))
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_refuses_files_that_do_not_fit_and_names_the_tensor(tmp_path):
    path = tmp_path / "w.pth"
    assert "not a file" in refusal(tmp_path / "missing.pth")
    path.write_bytes(b"not a state dict")
    assert "not a readable state dict" in refusal(path)
    torch.save([1, 2], path)
    assert "dict of tensors" in refusal(path)
    state = build(SMALL).state_dict()
    torch.save({name: tensor for name, tensor in state.items() if name != "bn1.weight"}, path)
    assert "bn1.weight" in refusal(path)
    torch.save(state | {"bn1.weight": torch.zeros(3)}, path)
    assert "bn1.weight has shape (3,)" in refusal(path)
    torch.save(state | {"extra": torch.zeros(3)}, path)
    assert "extra" in refusal(path)


def test_refuses_code_in_a_weights_file(tmp_path):
    torch.save(build(SMALL), tmp_path / "model.pth")
    refusal(tmp_path / "model.pth")


def test_nasnet_mobile_has_no_imagenet_weights():
    with pytest.raises(ConfigError, match="nasnet_mobile"):
        build(ArchitectureSpec(name="nasnet_mobile", weights="imagenet"))


def test_says_so_when_imagenet_weights_cannot_be_downloaded(monkeypatch):
    def offline(name, **options):
        raise OSError("no route to host")

    model = build(SMALL)
    monkeypatch.setattr(weights.timm, "create_model", offline)
    with pytest.raises(ConfigError, match=r"cannot be downloaded.*no route to host.*path to a state dict"):
        weights.load_imagenet(model, "mobilenetv3_small_100")


def test_imagenet_weights_are_adapted_to_our_input_range():
    """Up to the border: pixel / 127.5 - 1 into the adapted stem is (pixel / 255 - mean) / std into the original."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    original, adapted = build(SMALL, seed=1).eval(), build(SMALL, seed=2).eval()
    adapted.load_state_dict(weights._with_our_input(original.state_dict(), mean, std))
    pixels = torch.randint(0, 256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0)).float()
    theirs = (pixels / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    with torch.inference_mode():
        expected = original.bn1(original.conv_stem(theirs))
        got = adapted.bn1(adapted.conv_stem(pixels / 127.5 - 1))
    torch.testing.assert_close(got[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], rtol=1e-4, atol=1e-4)
