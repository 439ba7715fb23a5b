"""Keras behind the harness's :class:`bench.training.interfaces.Trainer`, one class per track."""

from __future__ import annotations

from bench.training.interfaces import Setup, Trainer
from bench.training.tracks import track
from models_keras.closed import ClosedTrainer
from models_keras.idiomatic import IdiomaticTrainer


def create(setup: Setup) -> Trainer:
    """What ``bench.training.frameworks`` names; the backend is the one of this process."""
    return ClosedTrainer(setup) if track(setup.case.track).certified else IdiomaticTrainer(setup)
