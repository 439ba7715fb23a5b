"""Keras's :class:`bench.training.interfaces.Trainer`: one class for each track's way to train."""

from __future__ import annotations

from bench.training.interfaces import Setup, Trainer
from bench.training.tracks import track
from models_keras.closed import ClosedTrainer
from models_keras.defaults import AblationTrainer
from models_keras.idiomatic import IdiomaticTrainer
from models_keras.tuned import TunedTrainer


def create(setup: Setup) -> Trainer:
    """The trainer of the case's track; the backend is the one of this process."""
    row = track(setup.case.track)
    if row.certified:
        return ClosedTrainer(setup)
    if row.stages:
        return AblationTrainer(setup)
    return TunedTrainer(setup) if row.own_kernels else IdiomaticTrainer(setup)
