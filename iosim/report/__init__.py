"""What a person or another program is shown: results to terminal, files and timelines.

    table.py      Results -> tables (what is shown)     layout.py    tables -> text in 80 columns
    summary.py    a scenario, and how it ended          export.py    Results -> JSON, CSV, Markdown
    finding.py    Results -> one or two sentences      plot.py       results -> a plot for a paper
    html/         results -> a page of HTML            perfetto/     a run -> a trace
    timeline.py   a run, watched -> one moment of it    story.py     that moment -> text
    catalogue.py  kinds and their options -> text
    costs.py      a profile's costs       -> text

Nothing here computes a metric, and nothing prints: text is returned. Only timeline.py runs a
simulation, to watch it.
"""
