"""Plan how many ratings by people are needed, make packets for raters, and read what they said.

People rate a sample of a run's answers, without a server: each rater gets one HTML file that works
offline. What judges say is then held against what people said. See docs/people.md.
"""
