"""Views as readers meet them: arrays and tables that are computed when somebody first looks."""
