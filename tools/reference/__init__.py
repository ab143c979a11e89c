"""Reference pages of the documentation, made of the code that they describe."""
