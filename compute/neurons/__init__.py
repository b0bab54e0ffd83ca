"""What neurons answer to: activations, labels of them, and how good those are."""
