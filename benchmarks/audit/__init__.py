"""The audit of memory traffic: what compiled steps read and write."""
