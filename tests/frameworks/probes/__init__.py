"""Programs that the tests run in a process of their own, one framework in each."""
