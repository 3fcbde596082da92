"""The probe: what unwind info costs for a module of the user's own, build by build."""
