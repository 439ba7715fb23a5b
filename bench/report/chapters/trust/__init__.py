"""Tables about what the figures rest on."""
