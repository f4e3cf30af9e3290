"""Steps of training in Keras."""

from __future__ import annotations

import keras

from axialzoo.keras import to_tensors
from axialzoo.keras.losses import loss_of as head_loss
from axialzoo.train.keras_loop import decay_by_role
from tests.parity import common
from tests.parity.common import DECAYING, TRAINED, Case
from tests.parity.dense import Dense
from tests.parity.in_keras import canonical, forward, last, model_of, numpy, step


def check_training(put) -> None:
    for network, case in TRAINED.items():
        optimizers = {
            "sgd": keras.optimizers.SGD(common.RATE, common.MOMENTUM),
            "adamw": keras.optimizers.AdamW(common.RATE / 8, common.DECAY, *common.BETAS, epsilon=common.EPSILON),
        }
        for name, optimizer in optimizers.items():
            put_trained(put, f"training/{network}/{name}", case, optimizer)


def check_decay(put) -> None:
    for network, case in DECAYING.items():
        optimizers = {
            "sgd": keras.optimizers.SGD(common.RATE, common.MOMENTUM, weight_decay=common.DECAY),
            "adamw": keras.optimizers.AdamW(common.RATE / 8, common.DECAY, *common.BETAS, epsilon=common.EPSILON),
        }
        for name, optimizer in optimizers.items():
            put_trained(put, f"decay/{network}/{name}", case, optimizer, by_role=True)


def put_trained(put, key: str, case: Case, optimizer, by_role: bool = False) -> None:
    """Every tensor after the steps; decay by role, or of everything."""
    model = model_of(case.spec, "float64", common.tensors(case.spec, last_gamma=0.1))
    if by_role:
        decay_by_role(optimizer, model)
    run = step(model, optimizer)
    for index in range(common.STEPS):
        run(last(case.images("float64", 8, index)), case.targets("float64", 8, index))
    for parameter, value in to_tensors(model).items():
        put(f"{key}/{parameter}", value)


def check_dense(put, network: str, case: Dense) -> None:
    """The head's own loss: gradients of the first step; after all, every tensor, the maps of a further step's pictures; all losses."""
    loss = head_loss(case.spec.head)
    optimizers = {
        "sgd": keras.optimizers.SGD(case.rate, common.MOMENTUM, weight_decay=common.DECAY),
        "adamw": keras.optimizers.AdamW(common.RATE / 8, common.DECAY, *common.BETAS, epsilon=common.EPSILON),
    }
    for name, optimizer in optimizers.items():
        model = model_of(case.spec, "float64", common.tensors(case.spec, last_gamma=0.1))
        decay_by_role(optimizer, model)
        run, losses = step(model, optimizer, lambda outputs, targets: loss(outputs, targets, case.spec.head)["total"]), []
        for index in range(common.STEPS):
            images, targets = case.batch(index)
            value, gradients = run(last(images), targets)
            losses.append(float(numpy(value)))
            if index == 0:  # the same with either optimizer
                first = canonical(model, gradients)
        put(f"dense/{network}/{name}/losses", losses)
        put(f"dense/{network}/{name}/maps", forward(model, last(case.batch(common.STEPS)[0])))
        for parameter, value in to_tensors(model).items():
            put(f"dense/{network}/{name}/{parameter}", value)
    for parameter, gradient in first.items():
        put(f"dense/{network}/gradients/{parameter}", gradient)
