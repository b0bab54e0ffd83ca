"""Names: what they stand for, and how they come to and leave a store."""
