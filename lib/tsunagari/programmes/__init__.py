"""What did the prefecture and its cities do, and did it work: records, measures, ledger, plan."""
