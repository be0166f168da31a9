"""The page: tabs Data, Audit, Debias and Compare over run folders, and Learn. No torch, no arithmetic; `tiw` does the work."""
