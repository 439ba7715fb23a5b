"""AlexNet in PyTorch, built from the rows of ``bench.networks.variants``."""
