"""Keras models in files: HDF5 contents, configuration, and whether it is the network of a row."""
