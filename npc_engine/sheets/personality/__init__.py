"""A character's five-factor personality: an inventory, its key, and what it is compared with."""
