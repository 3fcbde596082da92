"""Tests run real things: asv, wheels from the index, git."""
