"""Three short texts, written for `remora demo` and for trying things out."""
