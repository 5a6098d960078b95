"""A small site, served by real servers in processes of their own."""
