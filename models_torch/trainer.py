"""PyTorch's :class:`bench.training.interfaces.Trainer`: one class, and what each track's row means
for it (:func:`choices_for`).

`closed` is float32 with the shared layers. `idiomatic` is PyTorch as its documentation recommends
it: layers of ``torch.nn``, channels_last memory, bfloat16 autocast, a fused optimiser. `tuned` puts
our own kernels for the CPU in the place of PyTorch's; on an accelerator, and where it is compiled,
it has PyTorch's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
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
from models_torch.devices import (
    DeviceClock,
    Transfers,
    clock_of,
    device_of,
    free_memory,
    fused_divides,
    on_device,
    on_host,
    peak_memory,
    peak_reserved,
    synchronise,
    through_queue,
)
from models_torch.layers.conv import SmallMapConv2d
from models_torch.optimizer import optimizer_for, set_rate
from models_torch.passes import Compiler, EvaluationPass, Precision, TrainingPass, logits_of
from models_torch.preprocess import HeldImages, Prepare, PrepareByProducts
from models_torch.scaling import export_scale, load_scale, scaled, scaler_for, update
from models_torch.settings import configure, in_force, set_deterministic
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
    """Whether an accelerator may round float32 products to TensorFloat-32. On a CPU it does
    nothing, and has always been on where a track lets each framework choose its precision."""
    search: bool
    """Whether cuDNN tries its algorithms for every new shape, and takes the fastest."""
    rounded_copy: bool
    """Whether evaluation under autocast uses a copy whose large weights are bfloat16."""
    initialise: bool
    """Whether PyTorch draws initial weights; the core's are loaded otherwise, all at once."""
    reports_defaults: bool
    """Whether ``settings`` lists what of the ablation's stages is in force."""


def choices_for(setup: Setup) -> Choices:
    """The choices of the case's track.

    https://docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html recommends channels_last,
    mixed precision and cuDNN's search, https://docs.pytorch.org/docs/stable/optim.html the fused
    optimisers.
    """
    row, shared = track(setup.case.track), switched(setup.case)
    on_cpu = setup.device_kind == "cpu"
    layers = layers_of(row, own_kernels=on_cpu and not setup.compiled)
    by_products = on_cpu and not setup.compiled and layers is not STOCK
    last = "layout" in shared if row.stages else not row.certified
    return Choices(
        layers=layers,
        prepare=PrepareByProducts if by_products else Prepare,
        layout=torch.channels_last if last else torch.contiguous_format,
        fused=not row.stages or "fused-update" in shared,
        tf32=not row.shared_precision if on_cpu else setup.tf32,
        search=row.recommended_settings,
        # A compiler converts the weights within other kernels; a copy would be compiled again after
        # every change.
        rounded_copy=row.own_kernels and not setup.compiled,
        initialise=not row.shared_weights,
        reports_defaults=row.stages,
    )


class TorchTrainer:
    """One network on one device."""

    def __init__(self, setup: Setup) -> None:
        torch.manual_seed(setup.case.seed)
        self._choices = choices = choices_for(setup)
        configure(setup.threads, tf32=choices.tf32)
        self._device = device_of(setup.device_kind)
        torch.backends.cudnn.benchmark = choices.search
        set_deterministic(setup.deterministic)
        # float64 is for parity checks only: there rounding hides no error.
        dtype = torch.float64 if setup.case.precision == "float64" else torch.float32
        self._precision = Precision(dtype, getattr(torch, setup.half) if setup.half else None)
        self._scaler = scaler_for(self._precision, self._device)
        self._architecture, self._side = setup.architecture, setup.side
        self._smoothing = setup.recipe.label_smoothing
        setup.refuse_executions("PyTorch", graphs=True)
        compiled = setup.compiled
        self._compiler = Compiler(self._device, graphs=setup.graphs) if compiled else None
        self._prepare = choices.prepare(setup, self._device, dtype, choices.layout)
        network = build(setup.architecture, choices.layers, initialise=choices.initialise)
        self.network = network.to(self._device, dtype, memory_format=choices.layout)
        parameters = [(setup.rate_of(n), p) for n, p in self.network.named_parameters()]
        fused = choices.fused and (self._scaler is None or fused_divides(self._device))
        self._optimizer = optimizer_for(
            parameters, setup.recipe, fused=fused, scaled=self._scaler is not None
        )
        self._pass = TrainingPass(self.network, self._prepare, self._precision, self._smoothing)
        self._evaluation = EvaluationPass(self.network, self._prepare, self._precision)
        if self._compiler:
            self._compiler.compile(self._pass)
            self._compiler.compile(self._evaluation)
        self._transfers = Transfers(self._device)
        self._losses: list[Tensor] = []
        self._evaluated: EvaluationPass | None = None
        """What ``predict`` runs; None after the weights have changed."""

    def load_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Take all weights by name; nothing is changed when one does not fit."""
        check_weights(
            self._architecture, weights, str(self._precision.dtype).removeprefix("torch.")
        )
        self._evaluated = None
        own = self.network.state_dict()
        with torch.no_grad():
            for name, weight in weights.items():
                own[name].copy_(torch.from_numpy(np.array(weight)))

    def export_weights(self) -> dict[str, NDArray[Any]]:
        """All weights and statistics in the core's layout."""
        return {
            name: on_host(tensor)
            for name, tensor in self.network.state_dict().items()
            if not name.endswith("batches_tracked")
        }

    def hold_images(self, images: Images, labels: NDArray[np.int64], padding: int) -> bool:
        """In memory of the device, with their border; not where they take half of what is free."""
        free = free_memory(self._device)
        if free is not None and HeldImages.size(images, padding) > free // 2:
            return False
        self._pass.held = HeldImages(images, labels, padding, self._device)
        return True

    def export_state(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Network, optimiser, scale of the loss and random-number generators."""
        yield from export_state(self.network, self._optimizer, self._device)
        yield from export_scale(self._scaler)

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them."""
        self._evaluated = None
        load_state(self.network, self._optimizer, self._device, state)
        load_scale(self._scaler, state)

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        """Queue ``steps`` steps."""
        self.network.train()
        self._evaluated = None
        for step_input, _ in zip(inputs, range(steps), strict=False):
            set_rate(self._optimizer, step_input.learning_rate)
            self._set_masks(step_input)
            loss, _ = self._differentiate(*self._batch(step_input))
            update(self._optimizer, self._scaler)
            self._losses.append(self._compiler.lasting(loss) if self._compiler else loss)
            after_step()

    def bring_ahead(self, step_input: StepInput) -> StepInput:
        """In a stream of its own; labels are with the images that the device holds."""
        crops = step_input.crops
        names = ("images", "labels") if crops is None else ("crops",)
        arrays = (getattr(step_input, name) for name in names)
        given = dict(zip(names, self._transfers.bring(*arrays), strict=True))
        masks = self._transfers.bring(*step_input.masks.values())
        return replace(step_input, masks=dict(zip(step_input.masks, masks, strict=True)), **given)

    def _batch(self, step_input: StepInput) -> tuple[Tensor, Tensor | None]:
        """What :class:`TrainingPass` takes."""
        if step_input.crops is not None:
            return self._tensor(step_input.crops), None
        return self._tensor(step_input.images), self._tensor(step_input.labels)

    def _set_masks(self, step_input: StepInput) -> None:
        masks = {name: self._tensor(mask) for name, mask in step_input.masks.items()}
        set_masks(self.network, masks, in_place=self._compiler is not None)

    def _differentiate(self, given: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Loss and logits; the gradients are in the parameters' ``grad``."""
        self._optimizer.zero_grad(set_to_none=True)
        if self._compiler:
            self._compiler.begin_step()
        loss, logits = self._pass(given, labels)
        scaled(loss, self._scaler).backward()
        return loss.detach(), logits.detach()

    def gradients(self, step_input: StepInput) -> Gradients:
        """Loss, logits and every weight's gradient, through the training step's own code."""
        assert self._scaler is None, "gradients of a scaled loss"
        self.network.train()
        self._evaluated = None
        self._set_masks(step_input)
        loss, logits = self._differentiate(*self._batch(step_input))
        found = {name: p.grad for name, p in self.network.named_parameters()}
        by_name = {name: on_host(g) for name, g in found.items() if g is not None}
        return Gradients(loss.item(), on_host(logits), by_name)

    def activations(self, images: Images) -> dict[str, NDArray[Any]]:
        """What ``predict`` computes, layer by layer, eagerly: compiled code calls no hooks."""
        found = {"input": on_host(self._prepare(self._tensor(images)))}

        def save(name: str) -> Callable[..., None]:
            # A copy: the next ReLU works in place.
            return lambda module, args, output: found.update({name: on_host(output)})

        rows = self.network.named_children()
        hooks = [module.register_forward_hook(save(name)) for name, module in rows]
        try:
            with torch.inference_mode():
                x = self._prepare(self._tensor(images))
                logits_of(self.network.eval(), x, self._precision)
        finally:
            for hook in hooks:
                hook.remove()
        return found

    def losses(self) -> list[float]:
        """Loss of every step since the last call."""
        values = torch.stack(self._losses).tolist() if self._losses else []
        self._losses.clear()
        return values

    def predict(self, images: Images) -> Logits:
        """Evaluation-mode logits, on the host."""
        if self._evaluated is None:
            self._evaluated = self._for_evaluation()
            self._evaluated.eval()  # once: in every call it would be a part of a latency
        with torch.inference_mode(self._compiler is None), torch.no_grad():
            logits: Logits = self._evaluated(self._tensor(images)).cpu().numpy()
        return logits

    def _for_evaluation(self) -> EvaluationPass:
        """Of the network itself, or of a copy whose large weights have 16 bits.

        Autocast converts every weight in every call, which takes longer than evaluating an image.
        """
        half = self._precision.half
        if half is None or not self._choices.rounded_copy:
            return self._evaluation
        converted = copy.deepcopy(self.network)
        for module in converted.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.to(half)
        return EvaluationPass(converted, self._prepare, self._precision)

    def sync(self) -> None:
        """Wait for the device."""
        synchronise(self._device)

    def settings(self) -> dict[str, Any]:
        """Read back from PyTorch."""
        images = self._prepare(self._tensor(np.zeros((2, self._side, self._side, 3), np.uint8)))
        found = in_force(
            self.network,
            lambda part: logits_of(part, images, self._precision),
            self._compiler.execution if self._compiler else None,
        ).to_json()
        found["loss_scale"] = self._scaler and self._scaler.get_scale()
        if self._compiler:
            found["compilation"] = self._compiler.facts()
        return found | ({"defaults": self._defaults()} if self._choices.reports_defaults else {})

    def _defaults(self) -> dict[str, Any]:
        layout = "NHWC" if self._choices.layout == torch.channels_last else "NCHW"
        return {"layout": layout, **defaults.in_force(self.network, self._optimizer)}

    def device_memory(self) -> int | None:
        """Peak bytes that PyTorch's allocator gave out on the accelerator."""
        return peak_memory(self._device)

    def reserved_memory(self) -> int | None:
        """Peak bytes that PyTorch's allocator had taken from the accelerator."""
        return peak_reserved(self._device)

    def device_clock(self) -> DeviceClock | None:
        """By events in the stream of the steps."""
        return clock_of(self._device)

    def through_queue(self) -> None:
        """By an operation in the stream of the steps."""
        through_queue(self._device)

    @property
    def small_maps_dense(self) -> bool:
        """Whether training computes small maps as dense layers (`models_torch.layers.conv`)."""
        return any(isinstance(part, SmallMapConv2d) for part in self.network.modules())

    def bare_loop(self, step_input: StepInput) -> Callable[[int], None]:
        """The training loop of a tutorial, on one batch that is normalised and resized already."""
        network, optimizer, scaler = self.network, self._optimizer, self._scaler
        images, y = self._pass.batch(*self._batch(step_input))
        x = self._prepare(images).clone()  # later calls do not overwrite it
        self._set_masks(step_input)
        step = TrainingPass(network, torch.nn.Identity(), self._precision, self._smoothing)
        compiler = self._compiler
        if compiler:
            compiler.compile(step)

        def loop(steps: int) -> None:
            network.train()
            self._evaluated = None
            for _ in range(steps):
                optimizer.zero_grad()
                if compiler:
                    compiler.begin_step()
                    loss = step(x, y)[0]
                else:
                    with self._precision.autocast(self._device.type):
                        loss = F.cross_entropy(network(x), y, label_smoothing=self._smoothing)
                scaled(loss, scaler).backward()
                update(optimizer, scaler)
            self.sync()

        return loop

    def bare_predict(self, images: Images) -> Callable[[int], None]:
        """The forward passes of a tutorial's evaluation, on one prepared batch."""
        self.predict(images)  # makes the network to evaluate with
        assert self._evaluated is not None
        network, compiler = self._evaluated.network, self._compiler
        x = self._prepare(self._tensor(images)).clone()
        forward = EvaluationPass(network, torch.nn.Identity(), self._precision)
        if compiler:
            compiler.compile(forward)

        def loop(passes: int) -> None:
            with torch.inference_mode(compiler is None), torch.no_grad():
                for _ in range(passes):
                    if compiler:
                        logits = forward(x)
                    else:
                        with self._precision.autocast(self._device.type):
                            logits = network(x)
                logits.float().cpu().numpy()

        return loop

    def _tensor(self, array: NDArray[Any] | Tensor) -> Tensor:
        return on_device(array, self._device)


def create(setup: Setup) -> TorchTrainer:
    """What ``bench.training.frameworks`` names."""
    if setup.case.devices > 1:
        from models_torch.data_parallel import DataParallelTrainer  # noqa: PLC0415  imports this

        return DataParallelTrainer(setup)
    return TorchTrainer(setup)
