"""An optional app: what must outlive the process is kept in the shop's own database."""
