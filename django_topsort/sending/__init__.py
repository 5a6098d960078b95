"""The engine that sends: no Django in it, so that it runs in a thread, a worker or a command."""
