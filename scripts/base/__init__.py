"""Helpers of several rooms; they import no room."""
