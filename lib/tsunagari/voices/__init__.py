"""What people wrote, and what it says: redaction, themes, coding by hand, tables, quotations."""
