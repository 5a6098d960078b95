"""What browsers report: from a request's body to events."""
