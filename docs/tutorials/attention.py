# %% [markdown]
# # What axial attention sees
#
# A position of a map attends to its column, then the result attends to its row. After these two steps the whole map has been in view, at
# `H + W` comparisons a position instead of `H W`. This page looks at it on a photograph, with the weights that ship.
#
# ![The two steps of axial attention](../pictures/axial_attention.svg)
#
# ## One layer, written down
#
# Here is attention along one axis in plain NumPy, as [the paper](https://arxiv.org/abs/2003.07853) has it (equation 4): a query `q` compares itself with each key
# `k` of its axis, and both with learned vectors of their distance, `rq` and `rk`; what is retrieved is the value and a vector of the distance, `rv`.

# %%
import numpy as np


def attend(q, k, v, rq, rk, rv):  # q, k: (L, D); v: (L, Dv); rq, rk: (L, L, D), rv: (L, L, Dv), of the distance between two positions
    logits = q @ k.T + np.einsum("pd,psd->ps", q, rq) + np.einsum("sd,psd->ps", k, rk)  # (L, L)
    weights = np.exp(logits - logits.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    return weights @ v + np.einsum("ps,psd->pd", weights, rv), weights  # (L, Dv), (L, L)


random, L, D = np.random.default_rng(0), 6, 4
q, k, v = random.normal(size=(3, L, D))
table = random.normal(size=(3, 2 * L - 1, D))  # a row for each distance, from -(L - 1) to L - 1
rq, rk, rv = table[:, np.arange(L) - np.arange(L)[:, None] + L - 1]  # of query p and key s the row of s - p
retrieved, weights = attend(q, k, v, rq, rk, rv)
print(retrieved.shape, "each row of weights sums to", weights.sum(1).round(6))
assert np.allclose(weights.sum(1), 1)

# %% [markdown]
# In the models the three terms of the logits and the two of what is retrieved have a norm each, and there are several heads.
#
# ## The weights of a trained layer
#
# A block of `axial_resnet_cifar10` on a photograph of 64 by 96 pixels, hence on a map of 32 by 48 positions: the weights of one
# position, averaged over the heads. The tables of these weights reach 15 positions to either side; on a longer axis a position attends within that reach.

# %%
import torch
from axialzoo.analysis.weights import attention_weights, reach
from axialzoo.torch import axial_resnet_cifar10
from PIL import Image

model = axial_resnet_cifar10(pretrained=True, input_size=(64, 96)).eval()
block = model.get_submodule("stages.1.blocks.0")
photo = Image.open("docs/photos/chelsea.jpg")
x = model.preprocess(photo)

inputs = {}
for name in ("height", "width"):
    layer = block.get_submodule(name)
    layer.register_forward_hook(lambda layer, arguments, output, name=name: inputs.update({name: arguments[0].detach()}))
with torch.no_grad():
    logits = model(x)

H, W = inputs["height"].shape[2:]
row, column = H // 2, W // 3
seen = {name: attention_weights(block.get_submodule(name), inputs[name], row, column).mean(0) for name in inputs}
print(
    f"a map of {H} x {W}; along height {int((seen['height'] > 0).sum())} positions are seen, along width {int((seen['width'] > 0).sum())}"
)
assert (seen["height"] > 0).sum() <= H and (seen["width"] > 0).sum() <= W
assert all(abs(float(weights.sum()) - 1) < 1e-4 for weights in seen.values())

# %% [markdown]
# The two together: what a position far away, in another row and another column, gives to this one by way of both.

# %%
both = reach([(block.height, inputs["height"]), (block.width, inputs["width"])], row, column)
print(f"one step reaches at most {max(int((weights > 0).sum()) for weights in seen.values())} positions, two steps {int((both > 0).sum())}")
assert (both > 0).sum() > 10 * max((weights > 0).sum() for weights in seen.values())

# %%
from axialzoo.analysis.picture import Panel, Row, draw_grid

cross = sum(weights / weights.max() for weights in seen.values()).numpy()
panels = [Panel("photograph"), Panel("column, then row", "each by itself", cross), Panel("both steps", "one after the other", both.numpy())]
share = ((column + 0.5) / W, (row + 0.5) / H)
draw_grid(photo, share, [Row("What the point attends to", panels)], "axial_resnet_cifar10, stages.1.blocks.0")
