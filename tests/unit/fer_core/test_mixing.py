"""Blends are of neighbours, and the share told is the share shown."""

import numpy as np
import pytest
import torch

from fer_core.mixing import mix, partners

SIDE = 20


def numbered(count=4):
    """Images filled with their own number."""
    return torch.arange(count).float()[:, None, None, None].expand(-1, 3, SIDE, SIDE).clone()


def rng(seed=0):
    return np.random.default_rng(seed)


def test_none_returns_the_images_themselves():
    images = numbered()
    assert mix(images, "none", rng()) == (images, 1.0)


def test_mixup_adds_up_an_image_and_its_partner():
    images = numbered()
    mixed, own = mix(images, "mixup", rng(1))
    torch.testing.assert_close(mixed, own * images + (1 - own) * partners(images))
    assert 0 < own < 1


@pytest.mark.parametrize("seed", range(8))
def test_cutmix_shows_the_share_that_it_tells(seed):
    images = numbered()
    before = images.clone()
    mixed, own = mix(images, "cutmix", rng(seed))
    foreign = mixed[1, 0] != 1
    assert float(foreign.float().mean()) == pytest.approx(1 - own)
    assert (mixed[1, 0][foreign] == 0).all(), "the pixels of the entry before"
    assert foreign.any(1).sum() * foreign.any(0).sum() == foreign.sum(), "a rectangle"
    assert torch.equal(images, before)


def test_shares_vary_over_the_whole_range():
    shares = [mix(numbered(2), "cutmix", rng(seed))[1] for seed in range(200)]
    assert min(shares) < 0.2
    assert max(shares) > 0.95
    assert mix(numbered(), "mixup", rng(3))[1] == mix(numbered(), "mixup", rng(3))[1]
