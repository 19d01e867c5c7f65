"""What may leave: hide, check, attack."""
