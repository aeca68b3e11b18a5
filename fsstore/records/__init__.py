"""What is it: one frozen dataclass per record, lossless; keys it does not know are kept in `extra`."""
