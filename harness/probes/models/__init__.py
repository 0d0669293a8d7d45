"""A milestone's model taken apart: what probes of a model are made of."""
