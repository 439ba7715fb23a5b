"""The machine: processors, memory, devices, processes, and what limits them."""
