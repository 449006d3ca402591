"""The beating heart: seen in the pixels while encoding, read from the coefficients ever after."""
