"""keras-hub's own test case on our classes: ``KERAS_BACKEND=jax python tests/keras_hub/suite.py``, a process a back end."""

from __future__ import annotations

import unittest
from dataclasses import replace

import keras
import keras_hub
import numpy as np
from keras_hub.src.tests.test_case import TestCase

from axialzoo.hub import fetch_checkpoint
from axialzoo.keras_hub import (
    AxialBackbone,
    AxialImageClassifier,
    AxialImageClassifierPreprocessor,
    image_classifier,
    preprocessor,
    save_preset,
)
from axialzoo.spec import SpecError

NAME, SIDE = "axial_resnet_cifar10_xs", 16


class Suite(TestCase):
    def setUp(self):
        super().setUp()
        self.arguments = {"model": NAME, "image_shape": (SIDE, SIDE, 3)}
        self.images = keras.ops.ones((2, SIDE, SIDE, 3))

    def test_backbone(self):
        self.run_vision_backbone_test(
            cls=AxialBackbone,
            init_kwargs=self.arguments,
            input_data=self.images,
            expected_output_shape=(2, 4, 4, 64),
            expected_pyramid_output_keys=["P0", "P1", "P2"],
            expected_pyramid_image_sizes=[(16, 16), (8, 8), (4, 4)],
            run_quantization_check=False,
        )

    def test_saving(self):
        self.run_model_saving_test(cls=AxialBackbone, init_kwargs=self.arguments, input_data=self.images)

    def test_task(self):
        self.run_task_test(
            cls=AxialImageClassifier,
            init_kwargs={
                "backbone": AxialBackbone(**self.arguments),
                "num_classes": 3,
                "preprocessor": AxialImageClassifierPreprocessor(None),
            },
            train_data=(np.ones((2, SIDE, SIDE, 3), "float32"), np.array([0, 2])),
            expected_output_shape=(2, 3),
        )

    def test_preprocessing_that_keras_hub_lacks_is_told(self):
        config = fetch_checkpoint("axial_resnet_cifar10").config
        with self.assertWarnsRegex(UserWarning, "all of what 87.5% of was asked for"):
            preprocessor(replace(config, preprocessing=replace(config.preprocessing, crop=0.875)))
        refused = {"resize": "longer"}, {"per_image": True}, {"channel_order": "bgr"}
        for changed, message in zip(refused, ("no resize='longer'", "no per_image", "no channel_order='bgr'")):
            with self.assertRaisesRegex(SpecError, message):
                preprocessor(replace(config, preprocessing=replace(config.preprocessing, **changed)))

    def test_preset(self):
        folder = self.get_temp_dir()
        save_preset("axial_resnet_cifar10", folder)
        with self.assertRaisesRegex(FileExistsError, "exists"):
            save_preset("axial_resnet_cifar10", folder)
        loaded = keras_hub.models.ImageClassifier.from_preset(folder)
        pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
        self.assertAllClose(loaded.predict(pictures), image_classifier("axial_resnet_cifar10").predict(pictures))
        from axialzoo.keras import axial_resnet_cifar10

        ours = axial_resnet_cifar10(pretrained=True)
        self.assertAllClose(loaded.predict(pictures), ours.predict(ours.preprocess(list(pictures.astype("uint8")))), atol=1e-4)


if __name__ == "__main__":
    print(keras.backend.backend())
    unittest.main()
