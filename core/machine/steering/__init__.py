"""What people ask of an instance under way, or of one that has ended: pause, resume, skip, do again."""
