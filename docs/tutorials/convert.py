# %% [markdown]
# # Convert and verify your own checkpoint
#
# One checkpoint serves both frameworks, every other format is written from it and read back, and a digest says that not a bit was lost.

# %%
from axialzoo.checkpoint import load_checkpoint
from axialzoo.torch import axial_resnet_cifar10_xs, save_model
import torch

torch.manual_seed(0)
model = axial_resnet_cifar10_xs(num_classes=3).eval()  # in your work: trained; here any weights will do
save_model(model, "mine", labels=("red", "green", "blue"))
checkpoint = load_checkpoint("mine")
print(len(checkpoint.tensors), "tensors,", checkpoint.config.digest)

# %% [markdown]
# ## There and back through each framework's own files
#
# On the command line this is `axialzoo convert mine mine.weights.h5`.

# %%
from axialzoo.runtime.convert import convert

steps = ["mine", "mine.pth", "mine.weights.h5", "mine.keras", "mine.safetensors", "back"]
for source, target in zip(steps, steps[1:]):
    done = convert(source, target, model="axial_resnet_cifar10_xs" if source.endswith((".pth", ".h5")) else None)
    print(f"{source:18} -> {target:18} {done['digest'][:20]}")
assert load_checkpoint("back").config.digest == checkpoint.config.digest

# %% [markdown]
# ## Verified in everything that is installed
#
# `axialzoo verify mine` reads the files as a stranger's, runs PyTorch and every Keras back end there is, each in a process of its own, and compares each pair.

# %%
from axialzoo.runtime.verify import verify

report = verify("mine", float64=False)
for row in report["parity"]:
    print(f"{' and '.join(row['pair']) if 'pair' in row else row}")
assert report["ok"] and report["compared"]

# %% [markdown]
# ## What a damaged file gets
#
# One bit of 200 thousand bytes is turned around:

# %%
from pathlib import Path
from axialzoo.checkpoint import CheckpointError
import shutil

shutil.copytree("mine", "damaged")
path = Path("damaged/model.safetensors")
bytes_ = bytearray(path.read_bytes())
bytes_[-1000] ^= 1
path.write_bytes(bytes_)
try:
    load_checkpoint("damaged")
except CheckpointError as error:
    print(error)
else:
    raise AssertionError("it was let through")

# %% [markdown]
# ## Weights of other code
#
# `axialzoo import` reads the authors' PyTorch files and deeplab2's TensorFlow checkpoints. Each tensor of theirs is used once, each of ours is filled once,
# or nothing is loaded. Their published files have to be downloaded by you; here ours are written as theirs and read again:

# %%
from axialzoo.runtime.foreign import CONVERTERS
print(CONVERTERS)
