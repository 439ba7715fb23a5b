"""What everything else is made of: cases, kinds, metrics, records, limits, the cache and the
machine; it imports no other package."""
