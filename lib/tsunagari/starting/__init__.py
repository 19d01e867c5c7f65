"""How does a new survey begin, and what is wrong in its folder?"""
