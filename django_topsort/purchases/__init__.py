"""An order becomes a purchase.

``reader`` reads what an order says, ``rules`` makes a purchase of it, ``buyers`` knows whose it is.
Nothing here has an effect on an order, and nothing is sent from here.
"""
