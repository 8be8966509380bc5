"""What can be done with runs on texts: measure, write, translate, embed."""
