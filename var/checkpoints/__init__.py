"""From nested values to the weights of a VAR and a VQVAE: where they are, what they are, their classes."""
