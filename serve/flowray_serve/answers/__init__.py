"""What routes answer, as types: made as plain JSON elsewhere, described to clients from here."""
