"""What the council reads: rows that were published, texts that are written, a page, a workbook."""
