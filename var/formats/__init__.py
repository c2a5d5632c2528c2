"""From the bytes of a file to nested plain values, the tensors still in the file; nothing in it is executed."""
