"""What is published: the report as a page, the releases, and the chart of README.md."""
