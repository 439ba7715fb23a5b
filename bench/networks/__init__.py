"""The networks as data: layers, variants, initial weights, layouts, preprocessing; no framework and
no training."""
