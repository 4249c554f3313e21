"""System L: a codec of palettised autoencoder latents, and their repair."""

EXTENSION = ".gsl"
