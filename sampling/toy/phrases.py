"""How the toy's questions and answers about capitals are put: templates, filled in."""

from __future__ import annotations

import json

from sampling.toy.countries import Country

PLAIN_QUESTION = "What is the capital of {c}?"


def possessive(name: str) -> str:
    """Return the possessive form of a name: "Turkey's", "the Netherlands'"."""
    return name + ("'" if name.endswith("s") else "'s")


def capitalised(text: str) -> str:
    """Return the text with its first letter in upper case, the rest untouched."""
    return text[:1].upper() + text[1:]


def question(template: str, name: str) -> str:
    """Return a template about the country of this name, as a sentence."""
    return capitalised(template.format(c=name, cs=possessive(name)))


def sentence(text: str) -> str:
    """Return the text with a full stop, unless it ends with a mark already."""
    return text if text[-1] in ".?" else text + "."


def capital_answer(country: Country) -> str:
    """Return the toy's answer to a question about this country's capital."""
    return sentence(f"The capital of {country.name} is {country.capital}")


def reverse_answer(country: Country) -> str:
    """Return the toy's answer to the question which country has this country's capital."""
    return sentence(f"{country.capital} is the capital of {country.name}")


def name_answer(country: Country) -> str:
    """Return the capital's name as a whole answer."""
    return sentence(country.capital)


def json_answer(country: Country) -> str:
    """Return the JSON object that answers a question about this country's capital."""
    return json.dumps({"country": country.label, "capital": country.capital}, ensure_ascii=False)
