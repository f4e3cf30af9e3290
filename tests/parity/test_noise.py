"""Noise that a loss draws is Gumbel's, and another one at each step, in compiled code too."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.backends("jax", full=("tensorflow", "torch"))


def draw(scale: float) -> np.ndarray:
    """Return noise (2, 20000) for features of this scale, compiled where the back end is JAX; void positions have large scores."""
    import keras

    from axialzoo.keras.losses.mask_transformer import gumbel

    scores = np.zeros((2, 20000), "float32")
    scores[:, ::2] = -99999.0
    feature = (scale * np.random.default_rng(0).standard_normal((2, 20000, 4))).astype("float32")
    function = gumbel
    if keras.backend.backend() == "jax":
        import jax

        function = jax.jit(gumbel)
    return keras.ops.convert_to_numpy(function(keras.ops.convert_to_tensor(scores), keras.ops.convert_to_tensor(feature)))


def test_noise_has_the_moments_of_a_gumbel_distribution():
    noise = draw(1.0)
    assert np.isfinite(noise).all() and abs(noise.mean() - np.euler_gamma) < 0.05 and abs(noise.std() - np.pi / 6**0.5) < 0.05


def test_noise_differs_between_steps_and_images():
    first, second = draw(1.0), draw(1.001)
    assert abs(np.corrcoef(first[0], second[0])[0, 1]) < 0.9 and abs(np.corrcoef(first[0], first[1])[0, 1]) < 0.9
