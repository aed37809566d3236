# Made from comd/client/aio by `python comd/client/unasync.py`: change it there.
"""The client's two forms have one source: here with `async`, and made from it without, in `comd.client.sync`."""
