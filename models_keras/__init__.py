"""AlexNet in Keras 3, built from the rows of ``bench.networks.variants``, on any of its
backends."""
