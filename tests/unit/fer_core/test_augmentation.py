"""Augmentation varies every image on its own, within bounds, by the generator alone."""

import pytest
import torch

from fer_core.augmentation import STRENGTHS, Strength, affine_matrices, augment

STILL = Strength(rotation=0, scale=0, shift=0, brightness=0, contrast=0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def some_images(count=6, side=16):
    return torch.rand(count, 3, side, side, generator=generator(9)) * 2 - 1


def test_none_returns_the_images_themselves():
    images = some_images()
    assert augment(images, STRENGTHS["none"], generator()) is images


@pytest.mark.parametrize("name", ["light", "strong"])
def test_keeps_shape_range_and_input(name):
    images = some_images()
    before = images.clone()
    varied = augment(images, STRENGTHS[name], generator())
    assert varied.shape == images.shape
    assert varied.abs().max() <= 1
    assert varied.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)
    assert all(not torch.allclose(a, b) for a, b in zip(varied, images, strict=True))


def test_the_generator_decides():
    images, strength = some_images(), STRENGTHS["strong"]
    assert torch.equal(augment(images, strength, generator(1)), augment(images, strength, generator(1)))
    assert not torch.equal(augment(images, strength, generator(1)), augment(images, strength, generator(2)))


def test_without_any_amount_only_the_mirror_image_is_left():
    images = some_images(count=32)
    varied = augment(images, STILL, generator())
    kept = [torch.allclose(a, b, atol=1e-5) for a, b in zip(varied, images, strict=True)]
    mirrored = [torch.allclose(a, b.flip(2), atol=1e-5) for a, b in zip(varied, images, strict=True)]
    assert all(a != b for a, b in zip(kept, mirrored, strict=True))
    assert any(kept)
    assert any(mirrored)


def test_geometry_stays_within_its_bounds():
    strength = STRENGTHS["light"]
    matrices = affine_matrices(500, strength, generator())
    zoom = torch.linalg.det(matrices[:, :, :2]).abs().sqrt()  # a rotation times a zoom
    assert zoom.min() >= 1 - strength.scale - 1e-5
    assert zoom.max() <= 1 + strength.scale + 1e-5
    assert matrices[:, :, 2].abs().max() <= 2 * strength.shift


def test_covers_about_every_second_image_with_grey():
    ones = torch.ones(200, 3, 20, 20)
    varied = augment(ones, Strength(0, 0, 0, 0, 0, covered=0.5), generator())
    grey = (varied == 0).flatten(1).float().mean(1)
    assert 0.35 < (grey > 0).float().mean() < 0.6
    assert 0.4 < grey.max() <= 0.55
    hidden = varied[grey > 0][:, 0] == 0
    heights, widths = hidden.any(2).sum(1), hidden.any(1).sum(1)
    assert torch.equal(hidden.flatten(1).sum(1), heights * widths), "rectangles"
    assert (heights > widths).any()
    assert (heights < widths).any()


def test_saturation_moves_colours_around_grey_and_leaves_grey_pictures_alone():
    coloured = some_images(count=20)
    grey = coloured.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    strength = Strength(0, 0, 0, 0, 0, saturation=0.5)
    torch.testing.assert_close(augment(grey, strength, generator()), augment(grey, STILL, generator()))
    varied, still = augment(coloured, strength, generator()), augment(coloured, STILL, generator())
    inside = ((varied.abs() < 1) & (still.abs() < 1)).all(1, keepdim=True)
    torch.testing.assert_close(varied.mean(1, keepdim=True)[inside], still.mean(1, keepdim=True)[inside])
    spread = (varied - varied.mean(1, keepdim=True)).square().sum((1, 2, 3)) / (
        still - still.mean(1, keepdim=True)
    ).square().sum((1, 2, 3))
    assert (spread < 0.8).any()
    assert (spread > 1.1).any()
