"""Two branches side by side: their code checked out, run and timed in processes of their own."""
