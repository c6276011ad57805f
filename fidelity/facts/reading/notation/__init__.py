"""How numbers are written: in digits, in English words, as Roman numerals."""
