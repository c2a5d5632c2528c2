"""What maintainers measure beside `python -m var bench`: the reference implementation, loading, the start, training."""
