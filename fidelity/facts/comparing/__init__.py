"""The facts of two texts compared: aligned sentence by sentence, matched type by type."""
