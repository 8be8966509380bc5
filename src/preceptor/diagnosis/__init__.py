"""What a run's signals mean: causes, with evidence, and silence when all is well.

`diagnose` asks every rule of `preceptor.diagnosis.rules` about what a watch observed and ranks the answers.
"""
