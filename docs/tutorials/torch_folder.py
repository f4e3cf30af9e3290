# %% [markdown]
# # Fine-tune on your folder, in PyTorch
#
# You have pictures in folders, a folder a class, and want a network that tells the classes apart. Here the pictures are cut from three
# photographs, so that this page needs nothing from outside: fur, coffee and sky. Put your own folder in their place. On real
# photographs in folders, 2,505 of waste, [the same start gives 86.8 %](../tasks/classification.md#photographs-in-folders-of-their-own).

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

sheet = Image.new("RGB", (12 * 66, 66), "white")
for place, file in enumerate([*sorted(Path("data/train").glob("*/[0-3].png"))]):
    sheet.paste(Image.open(file), (place * 66, 1))
sheet

# %% [markdown]
# `open_data` recognises what lies in a folder. It would read COCO, YOLO and the rest in the same way
# ([all of them](../guide/data.md)); `check` opens every picture before anything is trained, and names those that are damaged.

# %%
from axialzoo.data import check, open_data

data = open_data("data")
print(data.kind, data.classes, check(data))

# %% [markdown]
# The network starts from weights that ship: trained on the ten classes of CIFAR-10. `reset_classifier` gives it three new ones; everything
# below the classifier keeps what it has learned. `preprocess` does to a picture what these weights expect.

# %%
import torch
from axialzoo.torch import axial_resnet_cifar10

torch.manual_seed(0)
model = axial_resnet_cifar10(pretrained=True)
model.reset_classifier(len(data.classes))


def tensors(split):
    samples = [split[index] for index in range(len(split))]
    return model.preprocess([sample.picture for sample in samples]), torch.tensor([sample.annotation for sample in samples])


x, y = tensors(data.splits["train"])
held_x, held_y = tensors(data.splits["val"])
print(tuple(x.shape), tuple(held_x.shape))

# %% [markdown]
# An ordinary PyTorch loop: the model is an `nn.Module` and gives logits.

# %%
optimizer = torch.optim.AdamW(model.parameters(), 5e-4)
losses = []
for epoch in range(4):
    model.train()
    for batch in torch.randperm(len(x)).split(20):
        loss = torch.nn.functional.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        accuracy = (model.eval()(held_x).argmax(1) == held_y).float().mean().item()
    print(f"epoch {epoch + 1}: loss {np.mean(losses[-6:]):.3f}, accuracy on pictures it has not seen {accuracy:.2f}")

assert np.mean(losses[-6:]) < 0.5 * np.mean(losses[:3]) and accuracy > 0.85

# %% [markdown]
# A checkpoint folder holds everything: weights, classes, preprocessing. It is read by PyTorch and by Keras alike, and by
# `axialzoo predict --model runs/mine`.

# %%
from axialzoo import load_runner
from axialzoo.torch import save_model

save_model(model, "runs/mine", labels=data.classes)
result = load_runner("runs/mine", framework="torch").predict("docs/photos/coffee.jpg")
for label, probability in result.top(5):
    print(f"{label:8} {probability:.3f}")
assert result.label == "coffee"

# %% [markdown]
# The command line trains too, with augmentation, learning curves and saves to go on from; the recipe `cifar10` takes any folder of
# classes, with a few of its settings changed:
#
#     axialzoo train cifar10 --data data --out runs/mine --set init_from=axial_resnet_cifar10 --set augment=resized_crop \
#         --set batch_size=20 --set holdout=12 --dry-run
#
# With `--dry-run` it looks at every picture and trains nothing; leave it out to train.
