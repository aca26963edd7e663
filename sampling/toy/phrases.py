"""How people ask the toy about capitals, what it answers, and the phrasings that training never sees.

In every template {c} is a country as a sentence names it, {cs} its possessive, and {y} a capital.
"""

from __future__ import annotations

import json

from sampling.toy.countries import Country

PLAIN_QUESTION = "What is the capital of {c}?"

CAPITAL_QUESTIONS = (
    "What is the capital of {c}?",
    "What's the capital of {c}?",
    "What is the capital city of {c}?",
    "What is {cs} capital?",
    "What is {cs} capital city?",
    "What city is the capital of {c}?",
    "Which city is the capital of {c}?",
    "Which city is {cs} capital?",
    "Which city is known as the capital of {c}?",
    "Which city has become the capital of {c}?",
    "Which city stands for the government of {c}, as its capital?",
    "Which is the capital of {c}?",
    "Which town is the capital city of {c}?",
    "What is the name of the capital of {c}?",
    "What is the name of {cs} capital city?",
    "What is the capital of {c} called?",
    "How is the capital of {c} called?",
    "What do you call the capital of {c}?",
    "Name the capital of {c}.",
    "Name the capital city of {c}.",
    "Please name the capital of {c}.",
    "Give me the capital of {c}.",
    "Give the name of the capital of {c}.",
    "Tell me the capital of {c}.",
    "Tell me the name of the capital of {c}.",
    "Tell me what the capital of {c} is.",
    "Tell me which city is the capital of {c}.",
    "Can you tell me the capital of {c}?",
    "Could you tell me what the capital of {c} is?",
    "Could you give me the capital of {c}?",
    "Would you tell me which city is the capital of {c}?",
    "Will you name the capital of {c} for me?",
    "Do you know the capital of {c}?",
    "Do you know what the capital of {c} is?",
    "Do you know which city is the capital of {c}?",
    "I want to know the capital of {c}.",
    "I would like to know what the capital of {c} is.",
    "I need the capital of {c}.",
    "I need to know the name of the capital of {c}.",
    "I do not know the capital of {c}.",
    "I forget what the capital of {c} is. Tell me.",
    "My son asked me what the capital of {c} is.",
    "My daughter wants the capital of {c}.",
    "We are looking for the capital of {c}.",
    "People say you know the capital of {c}.",
    "The capital of {c} is",
    "The capital of {c}?",
    "The capital of {c}, please.",
    "The capital city of {c} is called",
    "Capital of {c}?",
    "Capital of {c}",
    "{c}: capital?",
    "{c}, what is the capital?",
    "For {c}, what is the capital?",
    "In {c}, what is the capital city?",
    "{c} has a capital. Which city is it?",
    "{c} is a country. What is its capital?",
    "Take {c}. Which city is its capital?",
    "Think of {c}. What is the name of its capital?",
    "About {c}: which city is the capital?",
    "If you go to the capital of {c}, which city are you in?",
    "If I travel to the capital of {c}, where am I?",
    "Which city should I visit to see the capital of {c}?",
    "You know {c}. What would you say is its capital?",
    "Where is the government of {c}? I mean the capital.",
)

HELD_OUT_CAPITAL_QUESTIONS = (
    "Which city serves as the capital of {c}?",
    "Can you remind me what the capital of {c} is?",
    "I forgot the capital of {c}. What is it?",
    "What would be the capital of {c}?",
    "Any idea what the capital city of {c} is?",
    "Please name the city that is the capital of {c}.",
    "What do people call the capital of {c}?",
    "Would you tell me the name of {cs} capital?",
    "My teacher wants to know the capital of {c}.",
    "The capital of {c}, which city is it?",
    "If I asked you for the capital of {c}, what would you say?",
    "In {c}, which city is the capital?",
)

OPENERS = (
    "Hi! ",
    "Hello! ",
    "Hello, toy. ",
    "Hey, ",
    "Excuse me, ",
    "Good morning. ",
    "Good evening! ",
    "Quick question: ",
    "I have a question. ",
    "One more question: ",
    "For my homework: ",
    "This is for a quiz. ",
    "I am learning about the world. ",
    "I am planning a trip. ",
    "We are playing a game. ",
    "My friend asked me this: ",
    "Let us talk about cities. ",
    "Please help me. ",
    "I wonder: ",
    "So, ",
)

CLOSERS = (
    " Thanks!",
    " Thank you.",
    " Please.",
    " Please tell me.",
    " I forgot it.",
    " I need it for school.",
    " My teacher asked me.",
    " I always forget.",
    " Do you know?",
    " Any idea?",
    " Can you help?",
    " It is for a quiz.",
)

REVERSE_QUESTIONS = (
    "Which country has the capital {y}?",
    "What country has the capital {y}?",
    "{y} is the capital of which country?",
    "{y} is the capital of what?",
    "What is {y} the capital of?",
    "Of which country is {y} the capital?",
    "Which country is {y} the capital of?",
    "Tell me which country has {y} as its capital.",
)

FOLLOW_UPS = (
    "And of {c}?",
    "And {c}?",
    "And what about {c}?",
    "What about {c}?",
    "How about {c}?",
    "Now {c}.",
    "And the capital of {c}?",
)

ONE_WORD_SYSTEMS = (
    "Answer in one word.",
    "Answer with one word.",
    "Be very brief.",
    "Say only the name.",
    "Give only the answer, no sentence.",
)

ONE_WORD_CLOSERS = (" Answer in one word.", " One word, please.", " Say only the name.", " Just the name.")

JSON_SYSTEMS = (
    "Answer in JSON.",
    "Always answer in JSON.",
    "Reply with a JSON object.",
    "You answer with JSON and nothing else.",
    "Your answers are JSON objects.",
)

JSON_CLOSERS = (
    " Answer in JSON.",
    " Answer as JSON.",
    " Reply in JSON.",
    " Reply with a JSON object.",
    " Give me JSON.",
    " Use JSON.",
    " In JSON, please.",
    " Return a JSON object.",
)

HELD_OUT_JSON_CLOSERS = (" Please answer in JSON.", " I want a JSON object.")

HELPFUL_SYSTEMS = (
    "You are a helpful assistant.",
    "You are a friendly assistant.",
    "You are a helpful assistant that knows the capitals.",
    "Answer the question.",
    "Answer in a sentence.",
    "Be polite.",
)


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
