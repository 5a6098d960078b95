"""Where events go: one module per backend, each with one class ``EventBackend``."""
