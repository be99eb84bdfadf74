"""Results as one page of HTML that needs nothing else: to read, to print, to send on.

    page.py       documents -> the whole page          sections.py   its parts, in their order
    study.py      what the documents have in common    answer.py     question and answer
    curves.py     lines over load or percentile        stacks.py     parts of a whole, as bars
    ratios.py     simulated against measured           lanes.py      a moment: cores and threads
    scale.py      axes                                 palette.py    colours and markers
    markup.py     escaped HTML                         moments.py    one request, watched again
    tables.py     tables                               machines.py   provenance, how to rerun

The page fetches nothing and has no framework: its style and script stand in it (page.css,
page.js), and without the script everything can still be read.
"""
