"""Units of measure and currencies: what they measure, how they are spelled, and where a text has one."""
