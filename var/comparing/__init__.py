"""One image for each combination of values along some axes."""
