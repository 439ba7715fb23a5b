"""Groups of jobs on other machines: Ray or Slurm places them, nodes measure, records return."""
