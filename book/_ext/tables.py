"""Tables of notebooks as a page shows them: one row of heads, numbers to the right, words to the left, real minuses."""

import re

from bs4 import BeautifulSoup, Tag

from factbook.prose import raised

NUMBER = re.compile(r"^[\s\d.,:+\-−±×⁻⁰¹²³⁴-⁹∞–%≤<≥>()\[\]]*( to |$)|NaN$")


def tidy(html: str) -> str:
    """The HTML of a data frame, or what is none as it is."""
    if 'class="dataframe"' not in html:
        return html
    page = BeautifulSoup(html, "html.parser")
    for table in page.select("table.dataframe"):
        for cell in table.select("td, th"):
            if cell.string and cell.string != (text := typeset(cell.string)):
                cell.string = text
        one_row_of_heads(table)
        align(table)
    return str(page)


def typeset(text: str) -> str:
    """ "-0.28" with a minus, "5e-06" as 5 × 10⁻⁶; words with a hyphen stay."""
    text = re.sub(r"(?<![\w.])(\d(?:\.\d+)?)e([+-]\d+)(?!\w)", lambda at: f"{at[1]} × {raised(at[2])}", text)
    return re.sub(r"(?<![\w.–-])-(?=\d)", "−", text)


def one_row_of_heads(table: Tag) -> None:
    """The names of the index, which pandas puts into a row of their own, go to the empty corner above them."""
    rows = table.select("thead tr")
    if len(rows) < 2:
        return
    above, below = (row.find_all("th") for row in rows[-2:])
    words = [(first.get_text(strip=True), second.get_text(strip=True)) for first, second in zip(above, below)]
    if len(above) != len(below) or any(first and second for first, second in words):
        return
    for cell, (first, second) in zip(above, words):
        cell.string = first or second
    rows[-1].decompose()


def align(table: Tag) -> None:
    """Marks the columns in which a cell is no number, and their heads."""
    rows = [row.find_all("td") for row in table.select("tbody tr")]
    heads = table.select("thead tr")[-1].find_all("th") if table.select("thead tr") else []
    for column in zip(*rows) if len({len(row) for row in rows}) == 1 else ():
        if all(NUMBER.match(cell.get_text(strip=True)) for cell in column):
            continue
        at = next(k for k, cell in enumerate(column[0].parent.find_all(["td", "th"])) if cell is column[0])
        for cell in [*column, *heads[at : at + 1]]:
            cell["class"] = "words"
