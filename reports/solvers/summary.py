def write_summary(path):
    pass
