"""Groups of cases measured interleaved: schedule, stopping criterion, results, and pooling."""
