"""asv plugins (named in `asv.conf.json`) and what maintains the pins and the fixtures."""
