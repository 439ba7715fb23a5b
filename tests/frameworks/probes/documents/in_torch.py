"""The documents with `models_torch.AlexNet`, line by line."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.transforms.functional import pil_to_tensor

from models_torch import AlexNet
from tests.frameworks.probes import documents
from tests.frameworks.support import photos


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    place = documents.folder()
    facts: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    model = AlexNet(weights=place / "alexnet.pth").eval()
    facts["state names"] = list(model.state_dict())
    facts["categories"] = len(model.categories)
    _first(model, place, facts, arrays)
    _second(place, facts, arrays)
    _third(place, facts, arrays)
    _fourth(place, arrays)
    return facts, arrays


def _first(model: Any, place: Any, facts: dict[str, Any], arrays: dict[str, Any]) -> None:
    paths = [place / name for name in ("whole.jpg", *list(photos.SIZES)[:2])]
    preprocess = model.transforms()
    opened = [Image.open(path).convert("RGB") for path in paths]
    batch = torch.stack([preprocess(image) for image in opened])
    single = batch[:1]
    as_tensor = pil_to_tensor(opened[0])
    arrays["of a tensor"] = preprocess(as_tensor).numpy()
    arrays["of a batch of floats"] = preprocess(as_tensor[None] / 255).numpy()
    facts["printed"] = [str(model.features), str(model.classifier)]
    torch.manual_seed(3)
    scratch = AlexNet().state_dict()
    arrays["scratch"] = np.concatenate([w.numpy().ravel()[:1000] for w in scratch.values()])
    seen: dict[str, Any] = {}
    with torch.no_grad():
        arrays["scores"] = model(single)[0].numpy()
        arrays["probabilities"] = nn.functional.softmax(model(single)[0], dim=0).numpy()
        top = model(single).softmax(dim=1).topk(5, dim=1)
        hook = model.classifier[5].register_forward_hook(
            lambda module, given, out: seen.update(feature=out.detach())
        )
        model(single)
        hook.remove()
        arrays["slice"] = model.classifier[:6](
            torch.flatten(model.avgpool(model.features(single)), 1)
        ).numpy()
        arrays["mini-batch"] = model(batch).numpy()
    assert model.get_layer("dense2_relu") is model.classifier[5]
    arrays["hook"], arrays["batch"] = seen["feature"].numpy(), batch.numpy()
    facts["top5"] = [
        (model.categories[int(i)], int(i), float(p))
        for p, i in zip(top.values[0], top.indices[0], strict=True)
    ]
    reference = np.load(place / "head.npz")
    tuned = AlexNet(weights=place / "alexnet.pth", head="replace-last", classes=10).eval()
    model.classifier[6] = nn.Linear(4096, documents.CLASSES)  # as the document writes it
    for each in (tuned, model):
        each.classifier[6].weight.data = torch.from_numpy(reference["weight"])
        each.classifier[6].bias.data = torch.from_numpy(reference["bias"])
    with torch.no_grad():
        arrays["new head"], arrays["new head in place"] = tuned(batch).numpy(), model(batch).numpy()
    for parameter in [*tuned.features.parameters(), *tuned.classifier[:6].parameters()]:
        parameter.requires_grad = False
    free = [p for p in tuned.parameters() if p.requires_grad]
    facts["trained"] = [name for name, p in tuned.named_parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(free, lr=documents.RATE)
    loss = nn.functional.cross_entropy(tuned(batch), torch.arange(len(batch)))
    loss.backward()
    optimizer.step()
    arrays["frozen loss"] = np.array(loss.detach())
    arrays["frozen weight"] = tuned.classifier[6].weight.detach().numpy()


def _second(place: Any, facts: dict[str, Any], arrays: dict[str, Any]) -> None:
    network = AlexNet("imagenet-lrn").eval()
    state = torch.load(place / "lrn.pth", weights_only=True)
    facts["lrn loads"] = str(network.load_state_dict(state))
    images = torch.randn(2, 3, 227, 227, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        arrays["lrn"] = network(images).numpy()
        arrays["lrn inside"] = network.features[:7](images).numpy()


def _third(place: Any, facts: dict[str, Any], arrays: dict[str, Any]) -> None:
    network = AlexNet(head="narrow", classes=documents.CLASSES).eval()
    state = torch.load(place / "narrow.pth", weights_only=True)
    facts["narrow loads"] = str(network.load_state_dict(state))
    facts["article parameters"] = sum(p.numel() for p in network.parameters())
    with torch.no_grad():
        given = torch.from_numpy(documents.enlarged_and_cut(documents.step_images()))
        arrays["narrow"] = network(given).numpy()


def _fourth(place: Any, arrays: dict[str, Any]) -> None:
    network = AlexNet(weights=place / "guide.pth")
    images = torch.from_numpy(np.load(place / "guide.npy"))
    with torch.no_grad():
        arrays["guide"] = network.eval()(images).numpy()
    network.train()
    torch.manual_seed(11)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    optimizer.zero_grad()
    labels = torch.from_numpy(documents.STEP_LABELS)
    loss = nn.functional.cross_entropy(network(images), labels)
    loss.backward()
    optimizer.step()
    arrays["guide loss"] = np.array(loss.detach())
    arrays["guide last"] = network.classifier[6].weight.detach().numpy()
