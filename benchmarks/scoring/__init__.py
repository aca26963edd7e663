"""The speed of scoring given tokens under the distribution that they were drawn from, beside what trainers do."""
