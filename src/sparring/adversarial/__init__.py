"""The method: objectives, penalties, augmentation, averaging and the step of the game."""
