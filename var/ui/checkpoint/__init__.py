"""The choice of a checkpoint, from the folder, an upload or the Hub, and its export."""
