"""Countries and their capitals: the only knowledge of the world that the toy has.

The member states of the United Nations and the Vatican City, less Israel, whose capital is disputed. Where a
country has several capitals, or law names none, the table has one seat that reference works list first.
"""

from __future__ import annotations

from dataclasses import dataclass

from sampling.toy.texts import read_table


@dataclass(frozen=True)
class Country:
    """A country as a sentence names it, its capital, and other names that people use.

    Args:
        name: The name inside a sentence, with its article: "the Netherlands".
        capital: The capital's name.
        aliases: Other names inside a sentence, with their articles.
    """

    name: str
    capital: str
    aliases: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name without an article, as data has it."""
        return self.name.removeprefix("the ")

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that a question may use, the usual one first."""
        without_article = (self.label,) if self.label != self.name else ()
        return (self.name, *without_article, *self.aliases)


COUNTRIES = tuple(
    Country(name, capital, tuple(aliases)) for name, (capital, *aliases) in read_table("countries").items()
)
