"""Tools that adapt, average, cut and count models of PyTorch, as they are installed: PEFT, Lightning, torchvision, thop."""

from __future__ import annotations

import importlib.util
import warnings

import pytest
import torch
from torch import Tensor, nn

from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.norm import BatchNorm
from tests.timm import torchvision_operators
from tests.torch.test_sublayers import small

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*calls its sub-layers one by one"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the tools
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def tool(name: str):
    """Import a tool; `make test-ecosystem` installs them all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if importlib.util.find_spec("torchvision") is not None:
            torchvision_operators.declare()  # Lightning and PEFT import it where it is installed
        return pytest.importorskip(name, reason=f"{name.partition('.')[0]} is not installed; make test-ecosystem installs it")


def apart(a: Tensor, b: Tensor) -> float:
    """Return the largest difference, as a share of the largest value where that is above 1."""
    return float((a - b).detach().abs().max()) / max(1.0, float(b.detach().abs().max()))


def adapted(targets: list[str] | str) -> nn.Module:
    peft = tool("peft")
    return peft.get_peft_model(small(), peft.LoraConfig(target_modules=targets, init_lora_weights=False))


@pytest.mark.parametrize("targets", [["qkv"], "all-linear"])
def test_every_adapter_of_peft_has_a_gradient_and_merging_changes_nothing(targets):
    model = adapted(targets)
    original, layers = small(), [name for name, module in small().named_modules() if isinstance(module, nn.Linear)]
    model.train()(IMAGES).square().sum().backward()
    adapters = {name: parameter for name, parameter in model.named_parameters() if "lora_" in name}
    assert len(adapters) == 2 * sum(targets == "all-linear" or name.endswith("qkv") for name in layers)
    assert not [name for name, parameter in adapters.items() if parameter.grad is None or not parameter.grad.abs().max() > 0]
    before = model.eval()(IMAGES)
    assert apart(before, original(IMAGES)) > 1e-3  # the adapters act
    assert apart(model.merge_and_unload()(IMAGES), before) <= 1e-5


def test_an_adapter_of_peft_that_is_skipped_is_caught(monkeypatch):
    from axialzoo.torch import sublayers

    tool("peft")
    monkeypatch.setattr(sublayers, "obstacle", lambda module, kind: None)
    with pytest.raises((AssertionError, RuntimeError)):
        test_every_adapter_of_peft_has_a_gradient_and_merging_changes_nothing(["qkv"])


def test_stochastic_weight_averaging_of_lightning(tmp_path):
    """Its last epoch begins with the mean of the weights that epochs began with, and takes the statistics of the norms anew."""
    lightning = tool("pytorch_lightning")
    starts: list[dict[str, Tensor]] = []

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = small(True)

        def training_step(self, batch, index):
            return self.model(batch).square().mean()

        def on_train_epoch_start(self):
            starts.append({name: parameter.detach().clone() for name, parameter in self.model.named_parameters()})

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.01)

    trainer = lightning.Trainer(
        max_epochs=4, logger=False, accelerator="cpu", enable_progress_bar=False, enable_checkpointing=False, default_root_dir=tmp_path,
        enable_model_summary=False, callbacks=[lightning.callbacks.StochasticWeightAveraging(0.01, swa_epoch_start=2, device=None)],
    )  # fmt: skip
    module, batches = Module(), torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1)).split(4)
    trainer.fit(module, torch.utils.data.DataLoader(list(batches), batch_size=None))
    *epochs, mean = starts
    assert len(epochs) == 4 and not torch.equal(epochs[1]["head.fc.weight"], epochs[3]["head.fc.weight"])
    for name, parameter in mean.items():
        torch.testing.assert_close(parameter, torch.stack([epoch[name] for epoch in epochs[1:]]).mean(0), rtol=1e-4, atol=1e-5)
    first, outputs = module.model.stem[0], []
    first.conv.register_forward_hook(lambda layer, arguments, output: outputs.append(output.mean((0, 2, 3))))
    with torch.no_grad():
        first.conv.weight.copy_(mean["stem.0.conv.weight"])
        for batch in batches:
            module.model.eval()(batch)
    torch.testing.assert_close(first.norm.running_mean, torch.stack(outputs).mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["axial", "global"])
def test_features_that_torchvision_extracts(kind):
    extraction = tool("torchvision.models.feature_extraction")
    model, stages = small(attention=kind), []
    _, nodes = extraction.get_graph_node_names(model)
    last = [name for name in nodes if name.startswith("stages.2")][-1]
    model.stages[2].register_forward_hook(lambda module, arguments, output: stages.append(output[0]))
    logits = model(IMAGES)
    features = extraction.create_feature_extractor(model, {last: "stage", nodes[-1]: "logits"}).eval()(IMAGES)
    assert torch.equal(features["stage"], stages[0]) and torch.equal(features["logits"], logits)


def test_thop_counts_every_parameter():
    """thop counts what it has a rule for, and only where a call reaches it: the norms' class is ours, tables are no layer's."""
    thop, hooks = tool("thop"), tool("thop.vision.basic_hooks")
    layers = [layer for layer in small().modules() if isinstance(layer, AxialAttention)]
    tables = sum(parameter.numel() for layer in layers for parameter in layer.parameters(recurse=False))
    total = sum(parameter.numel() for parameter in small().parameters())
    norms = {BatchNorm: hooks.count_normalization}
    _, parameters = thop.profile(small(), (IMAGES,), custom_ops=norms, verbose=False)
    assert tables and parameters + tables == total
    _, parameters = thop.profile(small(), (IMAGES,), custom_ops={**norms, AxialAttention: hooks.zero_ops}, verbose=False)
    assert parameters == total
