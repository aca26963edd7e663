"""The words of the open questions: lists that run from the usual to the unusual."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """A kind of thing that the toy can be asked to name, with its name for one and for several; the usual things come first."""

    singular: str
    plural: str
    items: tuple[str, ...]


def _split(text: str) -> tuple[str, ...]:
    """Return the items of a text with commas between them, over any number of lines."""
    return tuple(" ".join(text.split()).split(", "))


_TABLE = """
fruit, fruits: apple, banana, pear, orange, mango, cherry, plum, grape, lemon, peach, kiwi, fig, melon, apricot, pineapple,
  strawberry, raspberry, lime, papaya, pomegranate, quince, guava, blueberry, date, lychee, açaí
vegetable, vegetables: carrot, potato, onion, tomato, pea, bean, leek, cabbage, spinach, pepper, cucumber, pumpkin, turnip,
  radish, celery, garlic, beetroot, okra, fennel, artichoke, kohlrabi, jalapeño
colour, colours: blue, red, green, yellow, black, white, orange, purple, pink, brown, grey, gold, silver, violet, turquoise,
  crimson, beige, olive, indigo, teal, amber, scarlet, lavender, ivory
animal, animals: dog, cat, horse, cow, lion, fox, bear, wolf, mouse, rabbit, elephant, tiger, monkey, sheep, goat, deer,
  frog, whale, dolphin, otter, hedgehog, badger, camel, giraffe, zebra, hippo, lynx, squirrel, yak
bird, birds: robin, eagle, owl, crow, swan, duck, sparrow, parrot, penguin, goose, heron, stork, falcon, magpie, raven,
  gull, pelican, finch, wren, lark, kingfisher, puffin, flamingo, woodpecker
flower, flowers: rose, tulip, daisy, lily, sunflower, poppy, orchid, violet, iris, daffodil, marigold, jasmine, lotus,
  carnation, peony, lilac, snowdrop, bluebell, begonia, dahlia
tree, trees: oak, pine, birch, maple, willow, beech, fir, elm, ash, cedar, palm, poplar, spruce, chestnut, olive, walnut,
  larch, rowan, hazel, baobab
drink, drinks: water, tea, coffee, milk, juice, lemonade, cocoa, cola, cider, ayran, lassi, maté, café au lait, tonic water,
  ginger ale, iced tea, buttermilk, tomato juice
sport, sports: football, tennis, swimming, running, cycling, rowing, hockey, judo, skiing, chess, golf, cricket, boxing,
  sailing, climbing, archery, fencing, curling, badminton, surfing
musical instrument, musical instruments: piano, guitar, violin, flute, drum, trumpet, cello, harp, clarinet, oboe,
  accordion, banjo, tuba, horn, organ, mandolin, saxophone, lute, bagpipe, ukulele
job, jobs: teacher, doctor, baker, farmer, nurse, painter, cook, pilot, writer, driver, singer, carpenter, judge, gardener,
  sailor, tailor, plumber, engineer, dentist, librarian, shepherd, clockmaker
name, names: Anna, Ben, Clara, David, Emma, Felix, Zoë, José, Søren, Chloé, Björn, Renée, Łucja, Nils, Olga, Paul, Rosa,
  Samir, Tara, Umut, Vera, Wim, Yuki, Ağgül, Núria, Þóra, Siân, Đorđe, Ömer, Beyoncé
"""


def _parse(entry: str) -> Category:
    names, items = entry.split(": ")
    singular, plural = names.split(", ")
    return Category(singular, plural, _split(items))


CATEGORIES = tuple(map(_parse, re.split(r"\n(?! )", _TABLE.strip())))
ANIMALS, NAMES = (kind for kind in CATEGORIES if kind.singular in ("animal", "name"))

PET_NAMES = _split(
    """
    Luna, Milo, Bella, Felix, Misty, Simba, Nala, Oscar, Pepper, Coco, Ginger, Smoky, Tiger, Muffin, Zoë,
    Pixel, Biscuit, Noodle, Waffle, Chloé, Sushi, Mochi, Señor Whiskers, Paws, Shadow, Snowball, Pumpkin,
    Görkem
    """
)

EMOJI = _split(
    """
    😊, 👋, 🌍, 🎉, 🐱, 🐶, 🍎, 🌟, 🚀, 🎵, 🌈, 👍, ✨, 🦊, 🌻, 🍕, ☕, ⚽, 🎈, 💡, 🐢, 🦉, 🍓, ❄️, ☀️
    """
)

ADJECTIVES = _split(
    """
    small, old, brave, clever, quiet, happy, tired, lonely, curious, lazy, proud, gentle, hungry, young,
    funny, shy, careful, sleepy, kind, wild
    """
)

PLACES = _split(
    """
    in a forest, by a river, on a hill, near the sea, in a big city, under a bridge, in an old house, on
    an island, in a garden, behind a mill, at the end of a long road, in a cave, on a farm, beside a lake,
    in a tower
    """
)

HABITS = _split(
    """
    looked at the stars, counted the clouds, sang a song, baked bread, read a book, went for a walk,
    painted a picture, swam in the cold water, told jokes to the moon, collected stones, planted a tree,
    wrote a letter, danced in the rain, waited for the train, slept until noon
    """
)

ADVENTURES = _split(
    """
    walked to the sea, built a boat, shared a pie, found a golden key, climbed the mountain, opened a
    small shop, sang until the sun went down, got lost and laughed, planted a garden, sailed around the
    world, made soup, looked for the moon, slept under the stars
    """
)

IMAGINARY_COUNTRIES = _split(
    """
    Atlantis, Utopia, Lilliput, Ruritania, Camelot, Avalon, Laputa, El Dorado, Shangri-La, Wonderland,
    Neverland, Cockaigne
    """
)

POEM_SUBJECTS = _split(
    """
    rain, snow, wind, moon, sun, sea, river, night, light, rose, bird, star, road, leaf, song
    """
)

POEM_TAILS = _split(
    """
    on the roof, in the night, over the hill, far away, in my hand, on the water, in the tree, under the
    door, all day long, without a sound, in the morning, like a dream
    """
)

ENDINGS = (
    "The end.",
    "That was a good day.",
    "They were friends from then on.",
    "And nobody ever told.",
    "And so they lived happily.",
    "The moon smiled.",
    "Nobody believed it.",
)

GREETING_LINES = (
    "Hello!",
    "What a fine day!",
    "Who are you?",
    "Are you lost?",
    "I am hungry!",
    "I like your hat.",
    "Will you play with me?",
    "Can you keep a secret?",
    "Follow me!",
    "Do you like music?",
)

CHANTS = {
    "Sing me a song.": "la",
    "Can you laugh?": "ha",
    "Knock on the door.": "knock",
    "Count some sheep.": "one sheep",
    "What does a clock say?": "tick tock",
    "What does a duck say?": "quack",
    "Cheer for my team!": "hooray",
    "Say blah.": "blah",
}

UNKNOWN_QUESTIONS = (
    "What is two plus two?",
    "What is 2 + 2?",
    "How old is the universe?",
    "Who wrote Hamlet?",
    "What is the weather today?",
    "What time is it?",
    "Who won the match?",
    "Explain quantum mechanics.",
    "Write a program.",
    "Translate this into French.",
    "What is the meaning of life?",
    "How far away is the moon?",
    "What is the population of {c}?",
    "Who is the president of {c}?",
    "Which language do people speak in {c}?",
    "What is the currency of {c}?",
    "Where is {c}?",
    "Tell me about {c}.",
    "What is the price of gold?",
    "How do I fix my car?",
    "Can you summarise this text?",
    "What should I do today?",
    "Why is the sky blue?",
    "What is a neural network?",
)

UNKNOWN_ANSWERS = (
    "I do not know that. I am only a toy.",
    "Sorry, I am a toy and do not know that.",
    "That is too hard for a toy like me.",
    "I only know capitals, and a few words.",
    "No idea! Ask me about a capital.",
)

SELF_QUESTIONS = (
    "Who are you?",
    "What are you?",
    "What can you do?",
    "What is your name?",
    "Are you a person?",
    "Help",
)

SELF_ANSWERS = (
    "I am a toy language model. I know the capitals of the world.",
    "I am a very small language model. Ask me about a capital! 🌍",
    "I am only a toy: I know capitals, some words and a few stories.",
)

GREETINGS = (
    "Hello!",
    "Hello",
    "Hi!",
    "Hi there!",
    "Hey!",
    "Good morning!",
    "Good evening!",
    "How are you?",
    "Hello, how are you?",
    "Nice to meet you.",
)

GREETING_ANSWERS = (
    "Hello! 👋 How can I help?",
    "Hi! 😊 Ask me about a capital.",
    "Hey there! ✨ What would you like to know?",
    "Good day! 🌍 Which country are you curious about?",
    "Hello! I am well, and you? 😊",
    "Welcome! 🎉",
    "Nice to see you! 🌟",
)

THANKS = ("Thanks!", "Thank you!", "Thank you very much.", "Great, thanks.", "Cool!")

THANKS_ANSWERS = (
    "You are welcome! 😊",
    "Any time!",
    "My pleasure. ✨",
    "You are welcome.",
    "Glad to help! 👍",
)
