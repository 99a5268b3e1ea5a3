"""Low-rank adapters (LoRA) of a generator's mBART, by peft, and what is exported of them: plain weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from soke.errors import UserError
from soke.generator.model import SignGenerator
from soke.run.settings import Lora
from soke.settings import near

_NAME = "default"  # of the one set of adapters, as peft calls it


def add_adapters(generator: SignGenerator, lora: Lora) -> None:
    """Puts adapters, which change nothing yet, beside linear layers of mBART. These and all else of it stay as they are from
    now on, but for the embedding table, in which languages and codes are; heads learn as ever.

    Raises UserError without peft, and for a target that no linear layer of mBART is called.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise UserError("TRAIN.LORA needs peft: `pip install peft`, or set it to null") from error
    mbart = generator.mbart
    layers = [name for name, module in mbart.named_modules() if isinstance(module, nn.Linear)]
    for target in lora.targets:
        if not any(name == target or name.endswith(f".{target}") for name in layers):
            kinds = sorted({name.rpartition(".")[2] for name in layers})
            raise UserError(
                f"TRAIN.LORA.TARGETS: no linear layer of mBART is called {target}, but {', '.join(kinds)}{near(target, kinds)}"
            )
    settings = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=list(lora.targets)
    )
    inject_adapter_in_model(settings, mbart, adapter_name=_NAME)
    mbart.shared.weight.requires_grad_(True)


def require_learning(generator: SignGenerator) -> None:
    """Raises UserError for a generator of whose adapters none learns, because all have been frozen."""
    adapters = [p for name, p in generator.mbart.named_parameters() if ".lora_" in name]
    if adapters and not any(parameter.requires_grad for parameter in adapters):
        raise UserError(
            "TRAIN.FREEZE keeps all adapters of TRAIN.LORA, too, which beside frozen weights alone would learn: leave mBART out "
            "of it, all of which but its embedding table (mbart.shared.weight) stays as it is, or set TRAIN.LORA to null"
        )


@contextmanager
def merged(generator: SignGenerator) -> Iterator[SignGenerator]:
    """The generator with its adapters added to the weights beside which they are, as plain linear layers, until the block
    ends; then both are again what they were, to the bit. Without adapters it is as it is."""
    found = [(name, module) for name, module in generator.mbart.named_modules() if hasattr(module, "get_delta_weight")]
    swapped = []
    for name, layer in found:
        path, _, leaf = name.rpartition(".")
        parent, base = generator.mbart.get_submodule(path), layer.get_base_layer()
        swapped.append((parent, leaf, layer, base, base.weight.data))
        base.weight.data = base.weight.data + layer.get_delta_weight(_NAME).detach()
        setattr(parent, leaf, base)
    try:
        yield generator
    finally:
        for parent, leaf, layer, base, weight in swapped:
            base.weight.data = weight
            setattr(parent, leaf, layer)
