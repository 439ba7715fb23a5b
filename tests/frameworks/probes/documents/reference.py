"""What the documents compute, written again in PyTorch and torchvision; nothing of ours in it but
the files for other frameworks.

Weights are freshly drawn, larger than torchvision draws them, whose thousand probabilities are all
the same to four digits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms
from torchvision.models import AlexNet_Weights, alexnet

from bench.networks.library import opened
from models_torch import AlexNet, save_weights
from tests.frameworks.probes import documents
from tests.frameworks.support import photos


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    place = documents.folder()
    paths = photos.write(place)[:3]
    torch.manual_seed(0)
    facts: dict[str, Any] = {"folder": str(place), "paths": [str(path) for path in paths]}
    arrays: dict[str, Any] = {}
    batch = _first(paths, place, facts, arrays)
    _second(place, arrays)
    _third(place, facts, arrays)
    _fourth(place, batch, arrays)
    for name in ("alexnet", "narrow", "guide"):
        # Processes of TensorFlow cannot find PyTorch here; they find the prepared copy.
        opened(place / f"{name}.pth", "torchvision")
    opened(place / "lrn.pth", "imagenet-lrn")
    return facts, arrays


def _for_all(network: nn.Module, variant: str, options: dict[str, Any], path: Path) -> None:
    """The same weights as a file that every framework reads."""
    ours = AlexNet(variant, **options)
    ours.load_state_dict(network.state_dict())
    save_weights(ours, path)


def _drawn(network: nn.Module) -> nn.Module:
    for weight in network.parameters():
        if weight.ndim > 1:
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
        else:
            nn.init.normal_(weight, std=0.1)
    return network.eval()


def _first(paths: list[Path], place: Path, facts: dict[str, Any], arrays: dict[str, Any]) -> Tensor:
    """The page on torchvision's AlexNet: top five, embeddings, mini-batch, new head, freezing."""
    network = _drawn(alexnet(weights=None))
    torch.save(network.state_dict(), place / "alexnet.pth")
    published = AlexNet_Weights.IMAGENET1K_V1
    preprocess = published.transforms()
    opened = [Image.open(path).convert("RGB") for path in paths]
    single = preprocess(opened[0]).unsqueeze(0)
    batch = torch.stack([preprocess(image) for image in opened])
    as_tensor = transforms.functional.pil_to_tensor(opened[0])
    arrays["of a tensor"] = preprocess(as_tensor).numpy()
    arrays["of a batch of floats"] = preprocess(as_tensor[None] / 255).numpy()
    composed = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(mean=list(documents.MEAN), std=list(documents.STD)),
        ]
    )
    arrays["hub input"] = torch.stack([composed(image) for image in opened]).numpy()
    seen: dict[str, Tensor] = {}
    facts["printed"] = [str(network.features), str(network.classifier)]
    with torch.random.fork_rng():  # what is drawn below stays what it was
        torch.manual_seed(3)
        scratch = alexnet(weights=None).state_dict()
    arrays["scratch"] = np.concatenate([w.numpy().ravel()[:1000] for w in scratch.values()])
    with torch.no_grad():
        arrays["scores"] = network(single)[0].numpy()
        arrays["probabilities"] = nn.functional.softmax(network(single)[0], dim=0).numpy()
        probabilities = network(single).softmax(dim=1)
        top = probabilities.topk(5, dim=1)
        hook = network.classifier[5].register_forward_hook(
            lambda module, given, out: seen.update(feature=out.detach())
        )
        network(single)
        hook.remove()
        arrays["slice"] = network.classifier[:6](
            torch.flatten(network.avgpool(network.features(single)), 1)
        ).numpy()
        arrays["mini-batch"] = network(batch).numpy()
    arrays["hook"] = seen["feature"].numpy()
    arrays["batch"] = batch.numpy()
    names = published.meta["categories"]
    facts["top5"] = [
        (names[int(i)], int(i), float(p))
        for p, i in zip(top.values[0], top.indices[0], strict=True)
    ]
    facts["state names"] = list(network.state_dict())
    _replaced_and_frozen(network, batch, arrays)
    return batch


def _replaced_and_frozen(network: nn.Module, batch: Tensor, arrays: dict[str, Any]) -> None:
    last = _drawn(nn.Linear(4096, documents.CLASSES))
    weight, bias = (p.detach().numpy().copy() for p in last.parameters())
    np.savez(documents.folder() / "head.npz", weight=weight, bias=bias)
    network.classifier[6] = last
    with torch.no_grad():
        arrays["new head"] = network(batch).numpy()
    for parameter in network.features.parameters():
        parameter.requires_grad = False
    for parameter in network.classifier[:6].parameters():
        parameter.requires_grad = False
    free = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(free, lr=documents.RATE)
    loss = nn.functional.cross_entropy(network(batch), torch.arange(len(batch)))
    loss.backward()
    optimizer.step()
    arrays["frozen loss"] = np.array(loss.detach())
    arrays["frozen weight"] = last.weight.detach().numpy().copy()


class WithResponse(nn.Module):
    """The second document's class, by its numbers."""

    def __init__(self) -> None:
        super().__init__()
        rows: list[nn.Module] = []
        for inputs, filters, kernel, stride, padding, groups, response, pool in (
            (3, 96, 11, 4, 0, 1, True, True),
            (96, 256, 5, 1, 2, 2, True, True),
            (256, 384, 3, 1, 1, 1, False, False),
            (384, 384, 3, 1, 1, 2, False, False),
            (384, 256, 3, 1, 1, 2, False, True),
        ):
            conv = nn.Conv2d(inputs, filters, kernel, stride, padding, groups=groups)
            rows += [conv, nn.ReLU(inplace=True)]
            rows += [nn.LocalResponseNorm(size=5, alpha=0.0001, beta=0.75)] if response else []
            rows += [nn.MaxPool2d(kernel_size=3, stride=2)] if pool else []
        self.features = nn.Sequential(*rows)
        dense: list[nn.Module] = []
        for inputs in (256 * 6 * 6, 4096):
            dense += [nn.Linear(inputs, 4096), nn.ReLU(inplace=True), nn.Dropout()]
        self.classifier = nn.Sequential(*dense, nn.Linear(4096, 1000))

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        y: Tensor = self.classifier(x.view(x.size(0), 256 * 6 * 6))
        return y


def _second(place: Path, arrays: dict[str, Any]) -> None:
    """The tutorial with the LRN class."""
    network = _drawn(WithResponse())
    torch.save(network.state_dict(), place / "lrn.pth")
    images = torch.randn(2, 3, 227, 227, generator=torch.Generator().manual_seed(4))
    np.save(place / "lrn.npy", images.numpy())
    with torch.no_grad():
        arrays["lrn"] = network(images).numpy()
        middle = network.features[:7](images)
    arrays["lrn inside"] = middle.numpy()


def _third(place: Path, facts: dict[str, Any], arrays: dict[str, Any]) -> None:
    """The transfer article: its head, its images, its training without dropout, its table."""
    network = _drawn(alexnet(weights=None))
    network.classifier[4] = _drawn(nn.Linear(4096, 1024))
    network.classifier[6] = _drawn(nn.Linear(1024, documents.CLASSES))
    with torch.no_grad():  # else the loss doubles in a step, and rounding grows with it
        for parameter in network.classifier[6].parameters():
            parameter.mul_(0.1)
    torch.save(network.state_dict(), place / "narrow.pth")
    narrow = {"head": "narrow", "classes": documents.CLASSES}
    _for_all(network, "torchvision", narrow, place / "narrow.safetensors")
    composed = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(documents.MEAN, documents.STD),
        ]
    )
    opened_images = [Image.fromarray(pixels) for pixels in documents.step_images()]
    arrays["article input"] = torch.stack([composed(image) for image in opened_images]).numpy()
    inputs = torch.from_numpy(documents.enlarged_and_cut(documents.step_images()))
    with torch.no_grad():
        arrays["narrow"] = network(inputs).numpy()
    facts["accuracy by class"] = _by_class(network)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=documents.RATE, momentum=documents.MOMENTUM
    )
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(inputs), torch.from_numpy(documents.STEP_LABELS))
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    facts["article losses"] = losses
    for name, weight in network.state_dict().items():
        arrays[f"article/{name}"] = weight.numpy().ravel()[:1000].copy()
    facts["article parameters"] = sum(p.numel() for p in network.parameters())


def _by_class(network: nn.Module) -> dict[str, Any]:
    """The transfer article's two tables: accuracy of all test images, and of each class."""
    images = torch.from_numpy(documents.enlarged_and_cut(documents.evaluated_images()))
    labels = torch.from_numpy(documents.TEST_LABELS)
    correct, total = 0, 0
    class_correct = [0.0] * documents.CLASSES
    class_total = [0.0] * documents.CLASSES
    predictions: list[int] = []
    with torch.no_grad():
        for start in range(0, len(labels), 4):
            part = labels[start : start + 4]
            _, predicted = torch.max(network(images[start : start + 4]), 1)
            hits = (predicted == part).squeeze()
            total += part.size(0)
            correct += int(hits.sum().item())
            for i in range(4):
                class_correct[int(part[i])] += hits[i].item()
                class_total[int(part[i])] += 1
            predictions += predicted.tolist()
    table = [100 * class_correct[i] / class_total[i] for i in range(documents.CLASSES)]
    average = sum(table) / 10
    return {
        "table": table,
        "average": average,
        "whole": 100 * correct / total,
        "predicted": predictions,
    }


class OfTheGuide(nn.Module):
    """The fourth document's class, by its numbers."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        rows: list[nn.Module] = []
        for inputs, filters, kernel, stride, padding, pool in (
            (3, 64, 11, 4, 2, True),
            (64, 192, 5, 1, 2, True),
            (192, 384, 3, 1, 1, False),
            (384, 256, 3, 1, 1, False),
            (256, 256, 3, 1, 1, True),
        ):
            rows += [nn.Conv2d(inputs, filters, kernel, stride, padding), nn.ReLU(inplace=True)]
            rows += [nn.MaxPool2d(kernel_size=3, stride=2)] if pool else []
        self.features = nn.Sequential(*rows)
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.features(x).view(x.size(0), 256 * 6 * 6))
        return y


def _fourth(place: Path, batch: Tensor, arrays: dict[str, Any]) -> None:
    """The guide: its class, and a step of its training with Adam."""
    network = _drawn(OfTheGuide(documents.CLASSES))
    torch.save(network.state_dict(), place / "guide.pth")
    own = {"classes": documents.CLASSES}
    _for_all(network, "torchvision", own, place / "guide.safetensors")
    small = transforms.Compose([transforms.Resize((224, 224)), transforms.ToTensor()])
    opened_images = [Image.fromarray(pixels) for pixels in documents.step_images()]
    images = torch.stack([small(image) for image in opened_images])
    np.save(place / "guide.npy", images.numpy())
    with torch.no_grad():
        arrays["guide"] = network(images).numpy()
    network.train()
    torch.manual_seed(11)  # of the dropout
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(network(images), torch.from_numpy(documents.STEP_LABELS))
    loss.backward()
    optimizer.step()
    arrays["guide loss"] = np.array(loss.detach())
    arrays["guide last"] = network.classifier[6].weight.detach().numpy().copy()
    _with_masks(place, arrays)


def _with_masks(place: Path, arrays: dict[str, Any]) -> None:
    """The same step on images that are not rounded, with the masks that its dropout has drawn."""
    network = OfTheGuide(documents.CLASSES)
    network.load_state_dict(torch.load(place / "guide.pth", weights_only=True))
    masks: dict[str, Any] = {}

    def seen(name: str) -> Any:
        def hook(module: nn.Module, given: tuple[Tensor], out: Tensor) -> None:
            # Where a ReLU gives 0 the mask changes nothing.
            masks[name] = ((out != 0) | (given[0] == 0)).numpy()

        return hook

    for index, name in ((0, "dense1_dropout"), (3, "dense2_dropout")):
        network.classifier[index].register_forward_hook(seen(name))
    torch.manual_seed(12)
    images = torch.from_numpy(documents.enlarged(documents.step_images()))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    loss = nn.functional.cross_entropy(network(images), torch.from_numpy(documents.STEP_LABELS))
    loss.backward()
    optimizer.step()
    np.savez(place / "masks.npz", **masks)
    gradient = network.classifier[6].weight.grad
    assert gradient is not None
    arrays["masked gradient"] = gradient.numpy().copy()
    arrays["masked loss"] = np.array(loss.detach())
    arrays["masked last"] = network.classifier[6].weight.detach().numpy().copy()
