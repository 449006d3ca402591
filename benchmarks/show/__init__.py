"""What is shown of the rows: curves, tables, plots, pages."""
