"""The nouns: plain data that every other room reads and writes."""
