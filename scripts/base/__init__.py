"""Helpers that other packages share; they import no other package of `scripts`."""
