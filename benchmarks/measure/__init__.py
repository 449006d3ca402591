"""What is measured: clips, settings, rows, and the run that fills them."""
