"""What is looked at before, during and after a training: checks, audit, diagnosis, attending."""
