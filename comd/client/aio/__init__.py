"""The client's two forms have one source: here with `async`, and made from it without, in `comd.client.sync`."""
