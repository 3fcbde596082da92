"""The recorded history: `results/`, read and extended."""
