"""What the product does: each use case loads, decides by the core, and commits."""
