"""Parts of probes that import one framework."""
