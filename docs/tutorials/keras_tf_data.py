# %% [markdown]
# # Fine-tune in a Keras `tf.data` pipeline
#
# The same three classes as [in PyTorch](torch_folder.py), read by Keras's own `image_dataset_from_directory`, prepared by a layer, trained
# by `fit`. The back end here is TensorFlow; on JAX (`KERAS_BACKEND=jax`) the page runs as it stands, since `tf.data` feeds that too.

# %%
import numpy as np
from pathlib import Path
from PIL import Image

random = np.random.default_rng(0)
photos = {"fur": "chelsea.jpg", "coffee": "coffee.jpg", "rocket": "rocket.jpg"}
for name, file in photos.items():
    photo = Image.open(Path("docs/photos") / file).resize((320, 240))
    for split, left, right in (("train", 0, 160), ("val", 160, 320)):  # left half and right half: no pixel is in both
        folder = Path("data") / split / name
        folder.mkdir(parents=True)
        for number in range(40 if split == "train" else 20):
            x, y = random.integers(left, right - 64), random.integers(0, 240 - 64)
            photo.crop((x, y, x + 64, y + 64)).save(folder / f"{number}.png")

# %%
import keras
from axialzoo.keras import axial_resnet_cifar10

keras.utils.set_random_seed(0)
model = axial_resnet_cifar10(pretrained=True).reset_classifier(3)  # all below the classifier keeps what it has learned
print(model.preprocessing.size, model.preprocessing.resize, model.preprocessing.interpolation)

# %% [markdown]
# `Preprocess` does to a picture what the weights expect, also on the tensors of a `tf.data` pipeline. Where it resizes, it uses Pillow's
# resampling on eight bits, so that training, prediction and the other framework see the same numbers; that belongs into `map`, as here,
# not into the compiled model.

# %%
import tensorflow as tf
from axialzoo.keras import Preprocess

prepare = Preprocess(model.preprocessing)


def pipeline(split, training):
    dataset = keras.utils.image_dataset_from_directory(
        f"data/{split}", image_size=(64, 64), batch_size=None, shuffle=training, seed=0, verbose=False
    )
    mirrored = dataset.map(lambda x, y: (tf.image.random_flip_left_right(x, seed=0), y)) if training else dataset
    return mirrored.map(lambda x, y: (prepare(x), y)).batch(20).prefetch(1), dataset.class_names


train, classes = pipeline("train", True)
held_out, _ = pipeline("val", False)
for x, y in train.take(1):
    print(classes, x.shape, x.dtype, y.numpy()[:8])

# %% [markdown]
# `compile()` without a loss takes the head's own, on logits, and its metrics. A loss of yours works too; one that expects probabilities is
# refused, because the model gives logits.

# %%
model.compile(optimizer=keras.optimizers.AdamW(5e-4))
history = model.fit(train, validation_data=held_out, epochs=4, verbose=0).history
for epoch, (loss, accuracy) in enumerate(zip(history["loss"], history["val_accuracy"]), 1):
    print(f"epoch {epoch}: loss {loss:.3f}, accuracy on pictures it has not seen {accuracy:.2f}")

assert history["loss"][-1] < 0.5 * history["loss"][0] and history["val_accuracy"][-1] > 0.85

# %% [markdown]
# What is saved is one checkpoint for both frameworks. Here Keras trained, and PyTorch answers:

# %%
from axialzoo import load_runner
from axialzoo.keras import save_model

save_model(model, "runs/mine", labels=classes)
here, there = load_runner("runs/mine", framework="keras"), load_runner("runs/mine", framework="torch")
pictures = ["docs/photos/coffee.jpg", "docs/photos/rocket.jpg"]
for of_keras, of_torch in zip(here.predict(pictures), there.predict(pictures)):
    difference = np.abs(of_keras.probabilities - of_torch.probabilities).max()
    print(f"{of_keras.label:8} {of_torch.label:8} probabilities differ by {difference:.0e}")
    assert of_keras.label == of_torch.label and difference < 1e-4
