"""What a worker reads from its device and host: state, memory, time, energy; inputs made ahead."""
