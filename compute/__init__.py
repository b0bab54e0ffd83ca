"""How a unit is made."""
