"""How numbers are written: in digits, in words, as Roman numerals and in Chinese characters."""
