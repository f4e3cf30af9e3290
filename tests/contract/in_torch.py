"""PyTorch, as the contract asks of a framework."""

from __future__ import annotations

import numpy as np
import torch

from axialzoo.torch import factory, load_model, native, save_model
from axialzoo.torch.losses import loss_of
from axialzoo.torch.weights import to_tensors
from axialzoo.train.torch_loop import on_device

title, name = "PyTorch", "torch"
formats = {".pth": (native.write_native, native.read_native)}
tensors, save = to_tensors, lambda model, folder, labels: save_model(model, folder, labels=labels)
load = load_model


def build(spec):
    torch.manual_seed(0)
    return factory.build(spec)


def forward(model, x, training):
    model.train(training)
    with torch.no_grad():
        return arrays(model(images(x)))


def images(x):
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))  # (N, C, H, W)


def arrays(found):
    if isinstance(found, dict):
        return {key: arrays(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [arrays(value) for value in found]
    return found.permute(0, 2, 3, 1).numpy() if found.dim() == 4 else found.numpy()


def gradients(model, x, targets):
    model.train()
    loss_of(model.spec.head)(model(images(x)), on_device(targets, torch.device("cpu")), model.spec.head)["total"].backward()
    return {key: None if item.grad is None else item.grad.numpy() for key, item in model.named_parameters()}


def reset(model, num_classes):
    model.reset_classifier(num_classes)
    return model
