"""What several test rooms share. No test lives here."""
