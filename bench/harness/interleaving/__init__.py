"""Groups of cases measured interleaved: groups, schedule, stopping criterion, and pooling."""
