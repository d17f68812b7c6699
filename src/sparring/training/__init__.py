"""The loop around the game: schedules, evaluation, checkpoints, the run folder and its report."""
