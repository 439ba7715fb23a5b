"""Groups of cases measured in turns: schedule, stopping criterion, results, and their pooling."""
