"""What a worker can measure, by kind."""
