"""The probe: measures what unwind info costs for the user's own module, build by build."""
