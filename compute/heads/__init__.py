"""What heads write: contributions, their moments, TextSpan, and what follows from them."""
