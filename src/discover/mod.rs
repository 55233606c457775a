//! Which layers are there? From /proc to a tree of layers.
