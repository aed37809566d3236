"""The demo world: pictures of coloured shapes, questions about them, and their true answers."""
