"""Tests that say before any draw what they will notice, and how rarely they are wrong."""
