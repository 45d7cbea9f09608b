"""A small table of facts."""

ROWS = [("Schiphol", "Amsterdam"), ("Heathrow", "London"), ("Gatwick", "London"), ("Orly", "Paris")]


def write(path, rows, header=("airport", "city"), separator=","):
    lines = [separator.join(header), *(separator.join(row) for row in rows)]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
