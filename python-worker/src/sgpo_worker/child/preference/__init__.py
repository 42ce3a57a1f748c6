"""Preference optimisation: one module a trainer of TRL, all on the same token ids."""
