"""Rules by family; each finds causes of one kind of evidence."""
