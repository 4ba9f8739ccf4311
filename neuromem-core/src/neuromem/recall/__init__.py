"""Recall: candidates, fusion, scoring, and the contract's dict."""
