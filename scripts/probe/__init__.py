"""What unwind info costs for a module of the user's own."""
