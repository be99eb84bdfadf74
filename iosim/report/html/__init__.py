"""Results as one page of HTML that needs nothing else: to read, to print, to send on.

    page.py       documents -> the whole page          tables.py     tables
    study.py      what the documents have in common    answer.py     question and answer
    charts.py     the charts at one load               loads.py      the charts over load
    curves.py     lines over load or percentile        stacks.py     parts of a whole, as bars
    ratios.py     simulated against measured           lanes.py      a moment: cores and threads
    scale.py      axes                                 palette.py    colours and markers
    clock.py      the lanes' time axis                 frame.py      what all charts have
    markup.py     escaped HTML                         moments.py    one request, watched again
    agreement.py  simulated by measured, metric by metric
    machines.py   provenance, how to rerun

The page fetches nothing and has no framework: its style and script stand in it (page.css,
page.js), and without the script everything can still be read.
"""
