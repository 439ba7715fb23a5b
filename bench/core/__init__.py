"""The basis of all other packages: cases, kinds, metrics, records, limits, the cache and the
machine; it imports no other package."""
