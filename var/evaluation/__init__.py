"""How good a checkpoint is, measured against the images that it was trained on."""
