"""Countries and their capitals: the only knowledge of the world that the toy has.

The member states of the United Nations and the Vatican City, less Israel, whose capital is disputed. Where a
country has several capitals, or law names none, the table has one seat that reference works list first.
"""

from __future__ import annotations

from dataclasses import dataclass


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


_TABLE = """
Afghanistan: Kabul
Albania: Tirana
Algeria: Algiers
Andorra: Andorra la Vella
Angola: Luanda
Antigua and Barbuda: Saint John's
Argentina: Buenos Aires
Armenia: Yerevan
Australia: Canberra
Austria: Vienna
Azerbaijan: Baku
the Bahamas: Nassau
Bahrain: Manama
Bangladesh: Dhaka
Barbados: Bridgetown
Belarus: Minsk
Belgium: Brussels
Belize: Belmopan
Benin: Porto-Novo
Bhutan: Thimphu
Bolivia: Sucre
Bosnia and Herzegovina: Sarajevo | Bosnia
Botswana: Gaborone
Brazil: Brasília
Brunei: Bandar Seri Begawan
Bulgaria: Sofia
Burkina Faso: Ouagadougou
Burundi: Gitega
Cambodia: Phnom Penh
Cameroon: Yaoundé
Canada: Ottawa
Cape Verde: Praia | Cabo Verde
the Central African Republic: Bangui
Chad: N'Djamena
Chile: Santiago
China: Beijing
Colombia: Bogotá
Comoros: Moroni | the Comoros
Costa Rica: San José
Croatia: Zagreb
Cuba: Havana
Cyprus: Nicosia
the Czech Republic: Prague | Czechia
Côte d'Ivoire: Yamoussoukro | Ivory Coast | the Ivory Coast
the Democratic Republic of the Congo: Kinshasa | the DRC
Denmark: Copenhagen
Djibouti: Djibouti
Dominica: Roseau
the Dominican Republic: Santo Domingo
East Timor: Dili | Timor-Leste
Ecuador: Quito
Egypt: Cairo
El Salvador: San Salvador
Equatorial Guinea: Malabo
Eritrea: Asmara
Estonia: Tallinn
Eswatini: Mbabane | Swaziland
Ethiopia: Addis Ababa
Fiji: Suva
Finland: Helsinki
France: Paris
Gabon: Libreville
the Gambia: Banjul
Georgia: Tbilisi
Germany: Berlin
Ghana: Accra
Greece: Athens
Grenada: Saint George's
Guatemala: Guatemala City
Guinea: Conakry
Guinea-Bissau: Bissau
Guyana: Georgetown
Haiti: Port-au-Prince
Honduras: Tegucigalpa
Hungary: Budapest
Iceland: Reykjavík
India: New Delhi
Indonesia: Jakarta
Iran: Tehran
Iraq: Baghdad
Ireland: Dublin
Italy: Rome
Jamaica: Kingston
Japan: Tokyo
Jordan: Amman
Kazakhstan: Astana
Kenya: Nairobi
Kiribati: South Tarawa
Kuwait: Kuwait City
Kyrgyzstan: Bishkek
Laos: Vientiane
Latvia: Riga
Lebanon: Beirut
Lesotho: Maseru
Liberia: Monrovia
Libya: Tripoli
Liechtenstein: Vaduz
Lithuania: Vilnius
Luxembourg: Luxembourg
Madagascar: Antananarivo
Malawi: Lilongwe
Malaysia: Kuala Lumpur
the Maldives: Malé
Mali: Bamako
Malta: Valletta
the Marshall Islands: Majuro
Mauritania: Nouakchott
Mauritius: Port Louis
Mexico: Mexico City
Micronesia: Palikir
Moldova: Chișinău
Monaco: Monaco
Mongolia: Ulaanbaatar
Montenegro: Podgorica
Morocco: Rabat
Mozambique: Maputo
Myanmar: Naypyidaw | Burma
Namibia: Windhoek
Nauru: Yaren
Nepal: Kathmandu
the Netherlands: Amsterdam | Holland
New Zealand: Wellington
Nicaragua: Managua
Niger: Niamey
Nigeria: Abuja
North Korea: Pyongyang
North Macedonia: Skopje | Macedonia
Norway: Oslo
Oman: Muscat
Pakistan: Islamabad
Palau: Ngerulmud
Panama: Panama City
Papua New Guinea: Port Moresby
Paraguay: Asunción
Peru: Lima
the Philippines: Manila
Poland: Warsaw
Portugal: Lisbon
Qatar: Doha
the Republic of the Congo: Brazzaville | Congo-Brazzaville
Romania: Bucharest
Russia: Moscow
Rwanda: Kigali
Saint Kitts and Nevis: Basseterre
Saint Lucia: Castries
Saint Vincent and the Grenadines: Kingstown
Samoa: Apia
San Marino: San Marino
Saudi Arabia: Riyadh
Senegal: Dakar
Serbia: Belgrade
Seychelles: Victoria | the Seychelles
Sierra Leone: Freetown
Singapore: Singapore
Slovakia: Bratislava
Slovenia: Ljubljana
the Solomon Islands: Honiara
Somalia: Mogadishu
South Africa: Pretoria
South Korea: Seoul | Korea
South Sudan: Juba
Spain: Madrid
Sri Lanka: Sri Jayawardenepura Kotte
Sudan: Khartoum
Suriname: Paramaribo
Sweden: Stockholm
Switzerland: Bern
Syria: Damascus
São Tomé and Príncipe: São Tomé
Tajikistan: Dushanbe
Tanzania: Dodoma
Thailand: Bangkok
Togo: Lomé
Tonga: Nukuʻalofa
Trinidad and Tobago: Port of Spain
Tunisia: Tunis
Turkey: Ankara | Türkiye
Turkmenistan: Ashgabat
Tuvalu: Funafuti
Uganda: Kampala
Ukraine: Kyiv
the United Arab Emirates: Abu Dhabi | the UAE | the Emirates
the United Kingdom: London | the UK | Great Britain
the United States: Washington, D.C. | the USA | the US | America
Uruguay: Montevideo
Uzbekistan: Tashkent
Vanuatu: Port Vila
Vatican City: Vatican City | the Vatican
Venezuela: Caracas
Vietnam: Hanoi
Yemen: Sanaa
Zambia: Lusaka
Zimbabwe: Harare
"""  # noqa: RUF001 (the mark in the name of Tonga's capital is a letter)


def _parse(line: str) -> Country:
    names, capital = line.split(": ")
    capital, *aliases = capital.split(" | ")
    return Country(names, capital, tuple(aliases))


COUNTRIES = tuple(_parse(line) for line in _TABLE.strip().splitlines())
