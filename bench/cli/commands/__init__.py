"""The commands of alexbench, a file each."""
