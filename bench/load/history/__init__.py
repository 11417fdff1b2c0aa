"""Load that has to do with history: rows written past the scheduler, searches, and how soon rows are confirmed."""
