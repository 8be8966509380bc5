"""From a run to the plain records that its report is made from."""
