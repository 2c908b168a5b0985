"""A procedural person-search benchmark: street scenes drawn from numbers, the same on every machine."""
