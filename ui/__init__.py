"""The page: tabs Data, Audit, Debias, Compare over run folders. No torch, no arithmetic; `tiw` does the work."""
