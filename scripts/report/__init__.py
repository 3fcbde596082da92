"""The report: conclusions from the history, as data and as text."""
