"""The ways to build a fact-storing MLP, one a file; `factcore.methods` is the table of them."""
