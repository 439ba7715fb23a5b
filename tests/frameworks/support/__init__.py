"""What probes and their tests share: the probe process, small networks, trainers."""
