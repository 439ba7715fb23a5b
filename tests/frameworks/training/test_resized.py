"""Images that are stored in another size than 32 pixels are trained on in every framework."""

import numpy as np
import pytest

from tests.frameworks.probes.training.resized import CLOSED, SIZES, TRAINED
from tests.frameworks.support.client import ask, ask_reference, each_framework


@pytest.mark.slow
@each_framework
@pytest.mark.parametrize("track", TRAINED)
@pytest.mark.parametrize("size", SIZES)
def test_resized_images_are_trained_on(framework: str, track: str, size: int) -> None:
    found = ask(framework, "training.resized")
    held, given = (f"{track}/{size}/{there}" for there in (True, False))
    np.testing.assert_allclose(found.facts[held], found.facts[given], rtol=1e-4)
    assert found.arrays[given].shape[0] == 24
    if track == CLOSED:
        reference = ask_reference("training.resized")
        np.testing.assert_allclose(found.facts[given], reference.facts[given], rtol=1e-4)
        np.testing.assert_allclose(
            found.arrays[given],
            reference.arrays[given],
            rtol=1e-3,
            atol=1e-3 * np.abs(reference.arrays[given]).max(),
        )
