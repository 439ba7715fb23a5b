"""The framework-free core of alexbench: what is measured, how, and what becomes of it.

Nothing here imports torch, tensorflow, jax or keras: a worker process does that, one of them each.
"""

__version__ = "0.1.0"
