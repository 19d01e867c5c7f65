"""What stands in the delivered file, and who is analysed?"""
