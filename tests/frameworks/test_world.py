"""Checkpoints and models of the world, made by their own code: the same outputs in the frameworks.

Each is made by its own framework in a process of its own, with the outputs of its own class.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.networks.architecture import Architecture
from bench.networks.inference import embedding_network
from bench.training.frameworks import FRAMEWORKS
from bench.weights.outputs import logits
from bench.weights.reading import AS_IT_IS, Reading
from bench.weights.sources import open_weights
from tests.frameworks.support.client import environment
from tests.support.weight_examples import needs

BOTH = ("pytorch", "keras-tensorflow")

IMPORTS = """
import argparse, pathlib, sys
import numpy as np, torch, torchvision
from torch import nn
torch.manual_seed(0)
path, images, out = sys.argv[1:]
x = torch.from_numpy(np.load(images))

def keep(model, content, at=path):
    with torch.inference_mode():
        np.save(out, model.eval()(x).numpy())
    torch.save(content, at)
"""

# bearpaw/pytorch-classification, models/cifar/alexnet.py, saved as PyTorch's ImageNet example does.
COLLECTION = """
class AlexNet(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=5), nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2), nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1), nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2, stride=2),
        )
        self.classifier = nn.Linear(256, num_classes)

    def forward(self, x):
        x = self.features(x)
        return self.classifier(x.view(x.size(0), -1))

model = AlexNet()
state = {k.replace('features.', 'features.module.'): v for k, v in model.state_dict().items()}
keep(model, {'epoch': 90, 'arch': 'alexnet', 'state_dict': state, 'best_acc1': torch.tensor(1.0),
             'acc': np.float64(77.2), 'args': argparse.Namespace(lr=0.1, out=pathlib.Path('/tmp')),
             'optimizer': torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9).state_dict()})
"""

# The LRN class of a tutorial (alexnet_lrn.py), two groups, as it is printed there.
TUTORIAL_LRN = """
class AlexNet(nn.Module):
    def __init__(self, num_classes=1000):
        super(AlexNet, self).__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, kernel_size=11, stride=4, padding=0),
            nn.ReLU(inplace=True),
            nn.LocalResponseNorm(size=5, alpha=0.0001, beta=0.75),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2),
            nn.ReLU(inplace=True),
            nn.LocalResponseNorm(size=5, alpha=0.0001, beta=0.75),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(256, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.classifier = nn.Sequential(
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x):
        x = self.features(x)
        x = x.view(x.size(0), 256 * 6 * 6)
        return self.classifier(x)

model = AlexNet()
keep(model, model.state_dict())
"""

# The transfer tutorial's changes of torchvision's network.
TUTORIAL_TRANSFER = """
model = torchvision.models.alexnet()
model.classifier[4] = nn.Linear(4096, 1024)
model.classifier[6] = nn.Linear(1024, 10)
keep(model, model.state_dict())
"""

SEQUENTIAL_HEAD = """
model = torchvision.models.alexnet().eval()
with torch.inference_mode():
    flat = torch.flatten(model.avgpool(model.features(x)), 1)
    np.save(out, model.classifier[:6](flat).numpy())
model.classifier[6] = nn.Sequential(nn.Linear(4096, 256), nn.ReLU(), nn.Linear(256, 10))
torch.save(model.state_dict(), path)
"""

# The single tower of Keras tutorials, with Keras's own epsilon of BatchNorm; {act} is its
# activation. With "relu" it is the network of the tutorials.
KERAS_TOWER = """
import sys
import keras, numpy as np
from keras import layers
keras.utils.set_random_seed(0)
path, images, out = sys.argv[1:]
act = '{act}'
model = keras.Sequential([
    keras.Input((227, 227, 3)),
    layers.Conv2D(96, 11, strides=4, activation=act), layers.BatchNormalization(),
    layers.MaxPooling2D(3, 2),
    layers.Conv2D(256, 5, padding='same', activation=act), layers.BatchNormalization(),
    layers.MaxPooling2D(3, 2),
    layers.Conv2D(384, 3, padding='same', activation=act), layers.BatchNormalization(),
    layers.Conv2D(384, 3, padding='same', activation=act), layers.BatchNormalization(),
    layers.Conv2D(256, 3, padding='same', activation=act), layers.BatchNormalization(),
    layers.MaxPooling2D(3, 2), layers.Flatten(),
    layers.Dense(4096, activation=act), layers.Dropout(0.5),
    layers.Dense(4096, activation=act), layers.Dropout(0.5),
    layers.Dense(10),
])
x = np.load(images).transpose(0, 2, 3, 1)
np.save(out, model.predict(x, verbose=0))
model.save(path)
"""

# Its last layer replaced by two.
KERAS_SEQUENTIAL_HEAD = (
    KERAS_TOWER.replace("{act}", "relu")
    + """
inner = keras.Model(model.inputs, model.layers[-2].output)
np.save(out, inner.predict(x, verbose=0))
model.pop()
model.add(layers.Dense(256, activation='relu'))
model.add(layers.Dense(10))
model.save(path)
"""
)


pytestmark = pytest.mark.usefixtures("shared_frameworks", "weight_examples")


def made(code: str, path: Path, size: int, framework: str = "pytorch") -> NDArray[Any]:
    """Run the code that makes a file; the outputs of its own class for two images."""
    images = path.with_name("given.npy")
    np.save(images, np.random.default_rng(0).standard_normal((2, 3, size, size), np.float32))
    out = path.with_name("own.npy")
    subprocess.run(
        [sys.executable, "-c", code, str(path), str(images), str(out)],
        check=True,
        env=environment(FRAMEWORKS[framework]),
        stdout=subprocess.DEVNULL,
    )
    found: NDArray[Any] = np.load(out)
    return found


def assert_same(
    own: NDArray[Any], path: Path, reading: Reading = AS_IT_IS, rows: Architecture | None = None
) -> None:
    """The class's own outputs, from the file in both frameworks; of all its layers, or these."""
    found, prepared = open_weights(str(path), reading=reading)
    for name in BOTH:
        images = path.with_name("given.npy")
        theirs = logits(FRAMEWORKS[name], prepared, rows or found.facts.architecture(), images)
        assert np.abs(theirs - own).max() <= 1e-5 * np.abs(own).max(), name


@pytest.mark.slow
def test_a_checkpoint_of_the_world_predicts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs(*BOTH)
    path = tmp_path / "checkpoint.pth.tar"
    own = made(IMPORTS + COLLECTION, path, 32)
    found, _ = open_weights(str(path))
    assert (found.facts.variant, found.facts.name) == ("cifar-linear", "checkpoint")
    said = capsys.readouterr().err
    for words in ("taken from 'state_dict'", "module. dropped", "classifier to dense1"):
        assert words in said
    assert "args (argparse.Namespace)" in said
    assert_same(own, path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "size", "network"),
    [
        (TUTORIAL_LRN, 227, ("imagenet-lrn", "source", 1000)),
        (TUTORIAL_TRANSFER, 224, ("torchvision", "narrow", 10)),
    ],
)
def test_the_tutorials_own_classes_give_the_same_outputs(
    tmp_path: Path, code: str, size: int, network: tuple[str, str, int]
) -> None:
    needs(*BOTH)
    path = tmp_path / "tutorial.pth"
    own = made(IMPORTS + code, path, size)
    facts = open_weights(str(path))[0].facts
    assert (facts.variant, facts.head, facts.classes) == network
    assert_same(own, path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("framework", "code", "name", "size", "refused", "left_out"),
    [
        (
            *("pytorch", IMPORTS + SEQUENTIAL_HEAD, "mine.pth", 224),
            r"does not fit torchvision: classifier\.6",
            "classifier.6.0, classifier.6.2",
        ),
        (
            *("keras-tensorflow", KERAS_SEQUENTIAL_HEAD, "mine.keras", 227),
            "imagenet-bn5 is the nearest",
            "dense_3, dense_4",
        ),
    ],
    ids=["pytorch", "keras"],
)
def test_a_head_of_several_layers_is_left_out_by_embed_and_partial(
    tmp_path: Path,
    framework: str,
    code: str,
    name: str,
    size: int,
    refused: str,
    left_out: str,
) -> None:
    needs(*BOTH)
    path = tmp_path / name
    own = made(code, path, size, framework)
    with pytest.raises(UserError, match=refused):
        open_weights(str(path))
    partial = Reading(partial=True)
    opened = open_weights(str(path), reading=partial)
    assert f"left out: {left_out}" in opened[0].facts.matched[-1]
    network = embedding_network(*opened)
    assert own.shape == (2, network.width) == (2, 4096)
    assert_same(own, path, partial, network.architecture)


@pytest.fixture(scope="module")
def tower(module_folder: Path) -> tuple[Path, NDArray[Any]]:
    """The folder of one tower in both formats, and its outputs."""
    needs(*BOTH)
    both = KERAS_TOWER + "model.save(path.replace('.keras', '.h5'))\n"
    path = module_folder / "tower.keras"
    return module_folder, made(both.replace("{act}", "relu"), path, 227, "keras-tensorflow")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tower.keras", "tower.h5"])
def test_the_single_tower_of_keras_tutorials_is_a_network_here(
    tower: tuple[Path, NDArray[Any]], name: str
) -> None:
    folder, own = tower
    path = folder / name
    facts = open_weights(str(path))[0].facts
    assert (facts.variant, facts.classes) == ("imagenet-bn5", 10)
    assert facts.constants["conv1_bn"]["eps"] == pytest.approx(1e-3)
    assert_same(own, path)


@pytest.mark.slow
def test_the_same_tower_with_another_activation_is_refused_by_name(tmp_path: Path) -> None:
    """Of a part of its layers as well; of all of them, `tests.weights.test_keras_check` has it."""
    needs("keras-tensorflow")
    path = tmp_path / "tanh.keras"
    made(KERAS_SEQUENTIAL_HEAD.replace("relu", "tanh"), path, 227, "keras-tensorflow")
    with pytest.raises(UserError, match=r"layer conv2d has the activation tanh, and imagenet-bn5"):
        open_weights(str(path), reading=Reading(partial=True))
