"""undertone: a small trained model of gridtone's own: a codec, a prior over its codes, captions and attributes as conditions."""
