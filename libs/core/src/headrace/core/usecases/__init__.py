"""What can be done with jobs: one verb a file. Each decides inside one transaction.

A use case answers with data: what to announce to watchers, whom to tell. Its caller acts on that
after the commit, so nothing is announced before it is true.
"""
