# %% [markdown]
# # Convert and verify your own checkpoint
#
# One checkpoint serves both frameworks, other formats are written from it and read back, and a digest says that not a bit was lost.
#
# ![The roads between formats](../pictures/checkpoint_road.svg)

# %%
import torch
from axialzoo.checkpoint import load_checkpoint
from axialzoo.torch import axial_resnet_cifar10_xs, save_model

torch.manual_seed(0)
model = axial_resnet_cifar10_xs(num_classes=3)  # of yours it would be trained; for bits any weights will do
save_model(model, "mine", labels=("red", "green", "blue"))
mine = load_checkpoint("mine")
print(len(mine.tensors), "tensors,", mine.config.digest)

# %% [markdown]
# ## There and back through each framework's own files
#
# On the command line a step is `axialzoo convert mine mine.weights.h5`. Each file is read again after it was written, and has to have the
# digest of its source.

# %%
from axialzoo.runtime.convert import convert

steps = ["mine", "mine.safetensors", "mine.pth", "mine.weights.h5", "mine.keras", "back"]
for source, target in zip(steps, steps[1:]):
    done = convert(source, target)
    print(f"{source:18} -> {target:18} {done['digest'][:20]}...")
assert load_checkpoint("back").config.digest == mine.config.digest

# %% [markdown]
# ## Verified in everything that is installed
#
# `axialzoo verify mine` runs PyTorch, its inference form, and every Keras back end that is installed, each in a process of its own, and
# compares every pair on the same input.

# %%
from axialzoo.runtime.verify import verify

report = verify("mine", float64=False)
for check in report["checks"]:
    print(f"{check['name']:8} {check['detail']}")
for row in report["parity"]:
    print(f"{' and '.join(row['pair']):50} differ by {row['error']:.0e}, allowed {row['limit']:.0e}")
assert report["ok"] and report["compared"]

# %% [markdown]
# ## What a damaged file gets
#
# One bit of 200 thousand bytes is turned around:

# %%
import shutil
from pathlib import Path
from axialzoo.checkpoint import CheckpointError

shutil.copytree("mine", "damaged")
path = Path("damaged/model.safetensors")
content = bytearray(path.read_bytes())
content[-1000] ^= 1
path.write_bytes(content)
try:
    load_checkpoint("damaged")
except CheckpointError as error:
    print(error)
else:
    raise AssertionError("a damaged file was let through")

# %% [markdown]
# ## Weights of other code
#
# `axialzoo import` reads the authors' PyTorch files and deeplab2's TensorFlow checkpoints. Each of their tensors is used once and each of
# ours is filled once, or nothing is loaded. Their published files are downloaded by you; here a model of ours is written as theirs
# (the state dict that the authors' code loads) and read again:

# %%
from axialzoo.runtime.foreign import export_foreign, import_foreign
from axialzoo.torch import axial_resnet26_s

save_model(axial_resnet26_s(num_classes=5), "ours")
export_foreign("axial-deeplab", "ours", Path("theirs.pth"))
theirs = torch.load("theirs.pth", weights_only=True)
print(len(theirs), "tensors in their file; the first attention's:")
for name in [name for name in theirs if name.startswith("layer1.0.hight_block")][:4]:
    print(f"  {name:45} {tuple(theirs[name].shape)}")
config, tensors = import_foreign("axial-deeplab", Path("theirs.pth"), Path("read"))
print("recognised as", config.model, "with", config.spec.num_classes, "classes")
assert load_checkpoint("read").config.digest == load_checkpoint("ours").config.digest

# %% [markdown]
# The Medical Transformer's files, and U-Bench's, go the same way. Their image size, classes and channels are recognised by the tensors, and what
# tensors cannot tell is said:

# %%
from axialzoo.torch import gated_axial_unet

save_model(gated_axial_unet(num_classes=1, in_channels=1), "gated")
export_foreign("medical-transformer", "gated", Path("gated.pth"))
config, _ = import_foreign("medical-transformer", Path("gated.pth"), Path("again"))
print(f"{config.model}, {config.spec.num_classes} logit; assumed: {config.provenance['assumed']}")
assert config.digest == load_checkpoint("gated").config.digest
