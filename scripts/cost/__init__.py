"""The cost model, and the advice derived from it: what a load costs, and what to do."""
