"""The published site: the report as a page, the releases, and the pictures of README.md."""
