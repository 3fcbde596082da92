"""The gap report: when did the cost of unwind info change, why, and what to do.

`history` reads results, `analysis` draws conclusions, and `text` and `page` say the same in a
terminal and on the published site.
"""
