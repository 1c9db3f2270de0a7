"""Training and measuring of the classifier that judges a character's lines: data, generators, training, export."""
