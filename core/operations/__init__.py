"""What requests do: starts, claims, reports, steering and reads, each on the lanes that this replica owns."""
