"""The parts of report.html: its chapters, what a row opens to, its styles and scripts."""
