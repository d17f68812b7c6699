"""What can be done with the latents of a trained generator, the random numbers z that it makes pictures of.

Walking between them, finding those of a picture, directions that change one thing, and mixing several. Everything takes
a `Model` and `Points`; `commands.py` is the command line around it.
"""
