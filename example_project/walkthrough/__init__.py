"""What `demo.py` is made of: the servers, a small browser, the shoppers and the verdict."""
