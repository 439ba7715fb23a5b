"""PyTorch's :class:`bench.training.interfaces.Trainer`: one class, and what each track's row means
for it (:func:`choices_for`).

`closed` is eager float32 with the shared layers. `idiomatic` is PyTorch as its documentation
recommends it: layers of ``torch.nn``, channels_last memory, bfloat16 autocast, a fused optimiser.
`tuned` puts our own kernels for the CPU in the place of PyTorch's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from bench.networks.weights import check_weights
from bench.training.defaults import switched
from bench.training.interfaces import Gradients, Images, Logits, Setup, StepInput
from bench.training.tracks import track
from models_torch import defaults
from models_torch.alexnet import STOCK, LayerSet, build, layers_of, set_masks
from models_torch.optimizer import optimizer_for, set_rate
from models_torch.preprocess import Prepare, PrepareByProducts
from models_torch.settings import in_force, set_deterministic
from models_torch.state import export_state, load_state


@dataclass(frozen=True)
class Choices:
    """What a case's track means in PyTorch."""

    layers: LayerSet
    prepare: type[Prepare]
    layout: torch.memory_format
    """Of the network's weights and activations."""
    fused: bool
    """Whether the optimiser updates all weights in one fused pass."""
    tf32: bool
    """Whether an accelerator may round float32 products to TensorFloat-32."""
    rounded_copy: bool
    """Whether evaluation under autocast uses a copy whose large weights are bfloat16."""
    initialise: bool
    """Whether PyTorch draws initial weights; the core's are loaded otherwise, all at once."""
    reports_defaults: bool
    """Whether ``settings`` lists what of the ablation's stages is in force."""


def choices_for(setup: Setup) -> Choices:
    """The choices of the case's track.

    https://docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html recommends channels_last
    and mixed precision, https://docs.pytorch.org/docs/stable/optim.html the fused optimisers.
    """
    row, shared = track(setup.case.track), switched(setup.case)
    layers = layers_of(row, setup.case.device)
    last = "layout" in shared if row.stages else not row.certified
    return Choices(
        layers=layers,
        prepare=Prepare if layers is STOCK else PrepareByProducts,
        layout=torch.channels_last if last else torch.contiguous_format,
        fused=not row.stages or "fused-update" in shared,
        tf32=not row.shared_precision,
        rounded_copy=row.own_kernels,
        initialise=not row.shared_weights,
        reports_defaults=row.stages,
    )


class TorchTrainer:
    """One network on one device."""

    def __init__(self, setup: Setup) -> None:
        torch.manual_seed(setup.case.seed)
        torch.set_num_threads(setup.threads)
        if torch.get_num_interop_threads() != setup.threads:  # can be set once per process only
            torch.set_num_interop_threads(setup.threads)
        self._choices = choices = choices_for(setup)
        self._device = torch.device(setup.case.device)
        torch.backends.cuda.matmul.allow_tf32 = choices.tf32
        torch.backends.cudnn.allow_tf32 = choices.tf32
        set_deterministic(setup.deterministic)
        self._autocast = setup.case.precision == "bfloat16"
        # float64 is for parity checks only: there rounding hides no error.
        self._dtype = torch.float64 if setup.case.precision == "float64" else torch.float32
        self._architecture = setup.architecture
        self._smoothing = setup.recipe.label_smoothing
        self._prepare = choices.prepare(setup, self._device, self._dtype, choices.layout)
        network = build(setup.architecture, choices.layers, initialise=choices.initialise)
        self.network = network.to(self._device, self._dtype, memory_format=choices.layout)
        parameters = [(setup.rate_of(n), p) for n, p in self.network.named_parameters()]
        self._optimizer = optimizer_for(parameters, setup.recipe, fused=choices.fused)
        self._losses: list[Tensor] = []
        self._evaluated: torch.nn.Module | None = None
        """What ``predict`` runs; None after the weights have changed."""

    def load_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Take all weights by name; nothing is changed when one does not fit."""
        check_weights(self._architecture, weights, str(self._dtype).removeprefix("torch."))
        self._evaluated = None
        own = self.network.state_dict()
        with torch.no_grad():
            for name, weight in weights.items():
                own[name].copy_(torch.from_numpy(np.array(weight)))

    def export_weights(self) -> dict[str, NDArray[Any]]:
        """All weights and statistics in the core's layout."""
        return {
            name: _on_host(tensor)
            for name, tensor in self.network.state_dict().items()
            if not name.endswith("batches_tracked")
        }

    def export_state(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Network, optimiser and random-number generators."""
        return export_state(self.network, self._optimizer, self._device)

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them."""
        self._evaluated = None
        load_state(self.network, self._optimizer, self._device, state)

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        """Queue ``steps`` steps."""
        self.network.train()
        self._evaluated = None
        for step_input, _ in zip(inputs, range(steps), strict=False):
            set_rate(self._optimizer, step_input.learning_rate)
            set_masks(self.network, {k: self._tensor(v) for k, v in step_input.masks.items()})
            loss = self._step(self._tensor(step_input.images), self._tensor(step_input.labels))
            self._losses.append(loss)
            after_step()

    def _step(self, images: Tensor, labels: Tensor) -> Tensor:
        loss, _ = self._differentiate(images, labels)
        self._optimizer.step()
        return loss

    def _differentiate(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and logits; the gradients are in the parameters' ``grad``."""
        self._optimizer.zero_grad(set_to_none=True)
        logits = self._forward(self.network, self._prepare(images))
        loss = F.cross_entropy(logits, labels, label_smoothing=self._smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), logits.detach()

    def gradients(self, step_input: StepInput) -> Gradients:
        """Loss, logits and every weight's gradient, through the training step's own code."""
        self.network.train()
        self._evaluated = None
        set_masks(self.network, {k: self._tensor(v) for k, v in step_input.masks.items()})
        loss, logits = self._differentiate(
            self._tensor(step_input.images), self._tensor(step_input.labels)
        )
        found = {name: p.grad for name, p in self.network.named_parameters()}
        by_name = {name: _on_host(g) for name, g in found.items() if g is not None}
        return Gradients(loss.item(), _on_host(logits), by_name)

    def activations(self, images: Images) -> dict[str, NDArray[Any]]:
        """What ``predict`` computes, layer by layer."""
        found = {"input": _on_host(self._prepare(self._tensor(images)))}

        def save(name: str) -> Callable[..., None]:
            # A copy: the next ReLU works in place.
            return lambda module, args, output: found.update({name: _on_host(output)})

        rows = self.network.named_children()
        hooks = [module.register_forward_hook(save(name)) for name, module in rows]
        try:
            self.predict(images)
        finally:
            for hook in hooks:
                hook.remove()
        return found

    def _forward(self, network: torch.nn.Module, x: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, classes)."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            logits: Tensor = network(x)
        return logits.to(self._dtype)  # the loss is never computed in bfloat16

    def losses(self) -> list[float]:
        """Loss of every step since the last call."""
        values = torch.stack(self._losses).tolist() if self._losses else []
        self._losses.clear()
        return values

    def predict(self, images: Images) -> Logits:
        """Evaluation-mode logits, on the host."""
        if self._evaluated is None:
            self._evaluated = self._for_evaluation()
        with torch.inference_mode():
            x = self._prepare(self._tensor(images))
            return self._forward(self._evaluated.eval(), x).cpu().numpy()

    def _for_evaluation(self) -> torch.nn.Module:
        """The network itself, or a copy whose large weights are bfloat16.

        Autocast converts every weight in every call, which takes longer than evaluating an image.
        """
        if not (self._autocast and self._choices.rounded_copy):
            return self.network
        converted = copy.deepcopy(self.network)
        for module in converted.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.to(torch.bfloat16)
        return converted

    def sync(self) -> None:
        """Wait for the device; eager work on the CPU is done when its call returns."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def settings(self) -> dict[str, Any]:
        """Read back from PyTorch."""
        images = self._prepare(self._tensor(np.zeros((2, 32, 32, 3), np.uint8)))
        found = in_force(self.network, lambda part: self._forward(part, images)).to_json()
        return found | ({"defaults": self._defaults()} if self._choices.reports_defaults else {})

    def _defaults(self) -> dict[str, Any]:
        layout = "NHWC" if self._choices.layout == torch.channels_last else "NCHW"
        return {"layout": layout, **defaults.in_force(self.network, self._optimizer)}

    def device_memory(self) -> int | None:
        """Peak bytes that PyTorch's allocator held on the accelerator."""
        if self._device.type != "cuda":
            return None
        return int(torch.cuda.max_memory_allocated(self._device))

    def bare_loop(self, step_input: StepInput) -> Callable[[int], None]:
        """The training loop of a tutorial, on one batch that is normalised and resized already."""
        network, optimizer = self.network, self._optimizer
        x, y = self._prepared(step_input.images), self._tensor(step_input.labels)
        set_masks(network, {k: self._tensor(v) for k, v in step_input.masks.items()})

        def loop(steps: int) -> None:
            network.train()
            self._evaluated = None
            for _ in range(steps):
                optimizer.zero_grad()
                with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
                    loss = F.cross_entropy(network(x), y, label_smoothing=self._smoothing)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            self.sync()

        return loop

    def bare_predict(self, images: Images) -> Callable[[int], None]:
        """The forward passes of a tutorial's evaluation, on one prepared batch."""
        self.predict(images)  # makes the network to evaluate with
        network, x = self._evaluated, self._prepared(images)
        assert network is not None

        def loop(passes: int) -> None:
            with torch.inference_mode():
                for _ in range(passes):
                    with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
                        logits = network(x)
                logits.float().cpu().numpy()

        return loop

    def _prepared(self, images: Images) -> Tensor:
        """One batch in memory of its own: later calls do not overwrite it."""
        return self._prepare(self._tensor(images)).clone()

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._device, non_blocking=True)


def create(setup: Setup) -> TorchTrainer:
    """What ``bench.training.frameworks`` names."""
    return TorchTrainer(setup)


def _on_host(tensor: Tensor) -> NDArray[Any]:
    """A copy in main memory."""
    host: NDArray[Any] = tensor.detach().cpu().contiguous().numpy()
    return host.copy()
