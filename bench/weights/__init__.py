"""Files of weights: read, identified, converted between frameworks, never executed."""
