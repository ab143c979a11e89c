"""What any folder may need and what is of no subject: time, units, threads, parts."""
