"""From class labels to tokens, scale by scale, to latents and pixels."""
