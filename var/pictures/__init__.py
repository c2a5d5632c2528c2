"""Pixels: tensors and images, contact sheets, film strips and animations."""
