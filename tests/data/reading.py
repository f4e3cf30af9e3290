"""The two ways that data are read in: looked at before a run, and picture by picture in an evaluation."""

from __future__ import annotations

from axialzoo.data import check, open_data


def opened(folder, kind=None):
    """Every sample, as a run does before it starts."""
    return check(open_data(folder, kind))


def scored(folder, kind=None):
    """Every sample, as an evaluation reads them, which checks nothing beforehand."""
    data = open_data(folder, kind)
    return [[split[index] for index in range(len(split))] for split in data.splits.values()]
