"""Campaigns: thousands of independent items, computed by Dask's workers, in one report.

    of_implementation   a stranger's Glow in Python on random architectures
    of_tfp              refglow against the installed TFP on random architectures
    of_data             a data set's bits/dim, in shards

An item's result depends on the campaign's settings and the item's number alone, so the report is
the same on any number of workers, in any order, interrupted or not. Results go to a file as they
come (`folder.py`); what is there is not computed again. An item that raises is one failed row, and
so is one that ends the process of every worker it runs on; the others go on.

Workers are processes of this machine, or those of a Dask cluster, by its scheduler's address.
Whoever can reach a scheduler can run code on its workers and on its clients: Dask's processes send
each other pickles. Give only an address that you trust. A cluster started here listens on 127.0.0.1
alone, which the other users of this machine reach, too. What stays on the disk is JSON.

Needs Dask: pip install "refglow[distributed]".
"""
