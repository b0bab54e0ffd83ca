"""Random SELECTs of many shapes over the tables of `sql_world`, with conditions whose values are known."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_INTS: Mapping[str, Sequence[int]] = {
    "image_id": (-1, 0, 3, 7, 8, 19, 20, 100, 255, 256, 260, 294, 295, 296),
    "layer": (-1, 0, 1, 2, 3),
    "head": (0, 1, 2),
    "token": (0, 1, 4, 5),
    "neuron": (0, 1, 17, 63, 64),
    "rank": (-10, -2, -1, 0, 1, 3, 9),
    "text_id": (0, 3, 11, 12),
}
_WORDS: Mapping[str, Sequence[str]] = {
    "model": ("m", "n", "z"),
    "image_set": ("photos", "pets", "none"),
    "text_set": ("words", "none"),
    "term": ("attn_bias[0]", "attn_bias[1]", "embedding"),
    "module": ("visual.transformer.resblocks.1.mlp.gelu", "none"),
    "label": ("dog", "cat", "star", ""),
    "grp": ("0", "3", "9"),
    "role": ("a small dog", "none"),
    "description": ("a large star", "no hat"),
    "direction": ("component 0", "a large star"),
    "text": ("a large star", "no hat"),
}
_FLOATS = ("score", "activation", "variance", "margin", "p_value")
COLUMNS: Mapping[str, str] = {
    "image_embeddings": "model image_set image_id vector",
    "head_contributions": "model image_set image_id layer head vector",
    "half_contributions": "model image_set image_id layer head vector",
    "mlp_contributions": "model image_set image_id layer vector",
    "residual_contributions": "model image_set image_id term vector",
    "token_contributions": "model image_set image_id layer head token vector",
    "neuron_activations": "model image_set module neuron image_id activation",
    "text_embeddings": "model text_set text_id vector",
    "head_descriptions": "model image_set text_set layer head rank text_id description variance margin",
    "head_roles": "model image_set text_set layer head role score p_value",
    "head_top_images": "model image_set text_set layer head direction rank image_id score",
    "top_images": "model image_set module neuron rank image_id activation",
    "clear_heads": "model image_set layer head role score",
    "dogs": "image_set image_id vector",
    "images": "image_set image_id label grp",
    "texts": "text_set text_id text",
}
"""The columns of each table that statements name."""
_VIEWS = tuple(COLUMNS)[:-2]
_SMALL = ("head_roles", "clear_heads", "head_descriptions", "texts", "dogs", "images")


@dataclass(frozen=True)
class Asked:
    """One statement."""

    query: str
    """The statement."""
    params: Any
    """The values of its parameters, if it has some."""
    limit: int | None
    """How many rows it takes, no matter which, of those of `whole`; None for all."""
    whole: str
    """The statement without its LIMIT."""


class Generator:
    """Draws statements."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._values: list[Any] = []

    def statement(self) -> Asked:
        """Draw one."""
        self._values = []
        shapes: list[Callable[[], str]] = [
            *[self._plain] * 3,
            self._grouped,
            self._joined,
            self._joined,
            self._outer,
            self._comma,
            self._with,
            self._set,
            self._window,
            self._unnest,
            self._nested,
            self._sorted,
            self._selves,
            *[self._listed] * 2,
        ]
        whole = self._pick(shapes)()
        if self._dice.random() < 0.1:
            whole = re.sub(r"\b([abs])\.([a-z_]+)\b", lambda m: f'{m[1]}."{m[2].upper()}"', whole)
        limit = self._pick((1, 5, 300)) if self._dice.random() < 0.08 else None
        text = whole if limit is None else f"FROM ({whole}) LIMIT {limit}"
        style = self._pick(("literal", "literal", "?", "$1", "$name"))
        query, params = self._bound(text, style)
        return Asked(query, params, limit, self._bound(whole, style)[0])

    def _pick(self, some: Sequence[Any]) -> Any:
        return self._dice.choice(some)

    def _bound(self, text: str, style: str) -> tuple[str, Any]:
        """Write the values of a statement into it, or as parameters."""
        order = [int(each) for each in re.findall(r"«(\d+)»", text)]
        if style == "literal" or not order:
            return re.sub(r"«(\d+)»", lambda m: _literal(self._values[int(m[1])]), text), None
        if style == "?":
            return re.sub(r"«\d+»", "?", text), [self._values[each] for each in order]
        names = {number: place for place, number in enumerate(dict.fromkeys(order), 1)}
        if style == "$1":
            return re.sub(r"«(\d+)»", lambda m: f"${names[int(m[1])]}", text), [
                self._values[n] for n in names
            ]
        named = {f"p{place}": self._values[number] for number, place in names.items()}
        return re.sub(r"«(\d+)»", lambda m: f"$p{names[int(m[1])]}", text), named

    def _value(self, value: Any) -> str:
        self._values.append(value)
        return f"«{len(self._values) - 1}»"

    def _values_of(self, column: str) -> list[str]:
        known: Sequence[Any] = _INTS.get(column) or _WORDS[column]
        return [self._value(self._pick(known)) for _ in range(self._dice.randint(1, 4))]

    def _atom(self, table: str, alias: str, deep: bool = True) -> str:
        """Draw one condition on a table."""
        column = self._pick(COLUMNS[table].split())
        name = f"{alias}.{column}"
        if deep and self._dice.random() < 0.2:
            return self._subquery(table, alias)
        if column in _INTS:
            return self._of_int(name, column)
        if column in _WORDS:
            return self._of_word(name, column)
        if column in _FLOATS:
            zero = self._value(self._pick((0.0, 0.05, -0.1, 0.5)))
            known = ("{0} > {1}", "{0} <= {1}", "abs({0}) < {1}", "{0} BETWEEN {1} AND 1", "{0}::INT = 0")
            return str(self._pick((*known, "{0} IS NULL", "NOT isnan({0})"))).format(name, zero)
        forms = (
            "{0}[1] > 0",
            "{0}[-1] BETWEEN -0.1 AND 0.2",
            "len({0}) = 12",
            "list_sum({0}) > 0",
            "list_cosine_similarity({0}, {0}) > 0.5",
            "{0} IS NOT NULL",
            "CASE WHEN len({0}) = 8 THEN list_cosine_similarity({0}, [1, 0, 0, 0, 0, 0, 0, 1]) > 0 END",
        )
        return str(self._pick(forms)).format(name)

    def _of_int(self, name: str, column: str) -> str:
        some, listed = self._values_of(column), ", ".join(self._values_of(column))
        forms = (
            "{0} = {1}", "{0} = {1}", "{0} <> {1}", "{0} < {1}", "{0} >= {1}", "{1} > {0}", "{0} IN ({2})",
            "{0} IN ({2})", "{0} NOT IN ({2})", "{0} BETWEEN {1} AND {1} + 9", "{0} + 1 = {1}", "-{0} = {1}",
            "{0} % 3 = 1", "CAST({0} AS VARCHAR) = CAST({1} AS VARCHAR)", "{0}::DOUBLE < {1} + 0.5",
            "{0} IS NULL", "{0} IS NOT NULL", "{0} IS DISTINCT FROM {1}", "TRY_CAST('x' AS INT) = {0}",
            "{0}::SMALLINT <= {1}", "coalesce({0}, 1) = {1}",
            "CASE WHEN {0} > {1} THEN true ELSE {0} = 0 END",
        )  # fmt: skip
        return str(self._pick(forms)).format(name, some[0], listed)

    def _of_word(self, name: str, column: str) -> str:
        some, listed = self._values_of(column), ", ".join(self._values_of(column))
        forms = (
            "{0} = {1}", "{0} = {1}", "{0} <> {1}", "{0} IN ({2})", "{0} NOT IN ({2})", "{0} LIKE '%o%'",
            "{0} LIKE 'p%'", "{0} ILIKE 'M'", "lower({0}) = {1}", "starts_with({0}, {1})", "{0} >= {1}",
            "{0} IS NOT NULL", "{0} IS NULL", "{0} || 'x' = {1}", "NOT contains({0}, {1})", "length({0}) < 5",
        )  # fmt: skip
        return str(self._pick(forms)).format(name, some[0], listed)

    def _subquery(self, table: str, alias: str) -> str:
        """Draw a condition with another SELECT in it."""
        other = self._pick(_SMALL)
        shared = [c for c in COLUMNS[table].split() if c in COLUMNS[other].split() and c != "vector"]
        keys = [c for c in shared if c in _INTS] or shared
        if not keys:
            return f"EXISTS (FROM {other} AS s WHERE {self._atom(other, 's', False)})"
        key, where = self._pick(keys), self._atom(other, "s", False)
        both = ", ".join(shared)
        mine = ", ".join(f"{alias}.{c}" for c in shared)
        forms = (
            f"{alias}.{key} IN (SELECT {key} FROM {other} AS s WHERE {where})",
            f"({mine}) IN (SELECT {both} FROM {other} AS s WHERE {where})" if len(shared) > 1 else "true",
            f"{alias}.{key} NOT IN (SELECT {key} FROM {other} AS s WHERE {where})",
            f"-{alias}.{key} IN (SELECT -{key} FROM {other} AS s WHERE {where})" if key in _INTS else "true",
            f"EXISTS (FROM {other} AS s WHERE s.{key} = {alias}.{key} AND {where})",
            f"NOT EXISTS (FROM {other} AS s WHERE s.{key} = {alias}.{key} AND {where})",
            f"{alias}.{key} = (SELECT max({key}) FROM {other} AS s WHERE {where})",
            f"{alias}.{key} >= (SELECT min(s.{key}) FROM {other} AS s WHERE s.{key} = {alias}.{key})",
            f"{alias}.{key} = ANY (SELECT {key} FROM {other} AS s WHERE {where} ORDER BY ALL LIMIT 3)",
        )
        return str(self._pick(forms))

    def _where(self, table: str, alias: str) -> str:
        """Draw up to four conditions, joined and negated at random."""
        found = self._atom(table, alias)
        for _ in range(self._pick((0, 1, 1, 2, 3))):
            other = self._atom(table, alias)
            shapes = ["({}) AND ({})"] * 3 + ["({}) OR ({})", "NOT ({}) AND ({})", "({}) OR NOT ({})"]
            found = str(self._pick(shapes)).format(found, other)
        return f"({found})"

    def _table(self) -> str:
        return str(self._pick(_VIEWS))

    def _some(self, table: str, alias: str) -> str:
        """Draw some columns of a table."""
        known = COLUMNS[table].split()
        return ", ".join(f"{alias}.{c}" for c in self._dice.sample(known, self._dice.randint(1, len(known))))

    def _plain(self) -> str:
        table = self._table()
        what = self._pick(("*", "", "DISTINCT "))
        columns = what if what == "*" else what + self._some(table, "a")
        return f"SELECT {columns} FROM {table} AS a WHERE {self._where(table, 'a')}"

    def _key(self, table: str) -> str:
        return str(self._pick([c for c in COLUMNS[table].split() if c in _INTS or c in _WORDS]))

    def _grouped(self) -> str:
        table = self._table()
        key, other = self._key(table), self._key(table)
        having = self._pick(("", " HAVING count(*) > 2", f" HAVING min({other}) = max({other})"))
        what = f"count(*), min({other}), count(DISTINCT {other})"
        if self._dice.random() < 0.3:
            return f"SELECT {what} FROM {table} AS a WHERE {self._where(table, 'a')}"
        return (
            f"SELECT {key}, {what} FROM {table} AS a WHERE {self._where(table, 'a')} GROUP BY {key}{having}"
        )

    def _pair(self) -> tuple[str, str, list[str]]:
        """Draw two tables with the columns that both have; most pairs share all that tells rows apart."""
        while True:
            one, other = self._table(), self._pick((*_SMALL, "images", "images", *_VIEWS))
            shared = [c for c in COLUMNS[one].split() if c in COLUMNS[other].split()]
            keys = [c for c in shared if c in _INTS or c in _WORDS]
            if one != other and len(keys) > 1 and {"image_id", "layer", "text_id"} & set(keys):
                return one, other, keys

    def _joined(self) -> str:
        one, other, keys = self._pair()
        how = self._pick(("JOIN", "JOIN", "INNER JOIN", "SEMI JOIN", "ANTI JOIN"))
        on = " AND ".join(f"a.{key} = b.{key}" for key in keys)
        inner = self._pick((other, f"(FROM {other} AS s WHERE {self._where(other, 's')})"))
        both = f"USING ({', '.join(keys)})" if self._dice.random() < 0.5 else f"ON {on}"
        where, some = self._where(one, "a"), self._some(one, "a")
        if "SEMI" not in how and "ANTI" not in how:
            where += f" AND {self._where(other, 'b')}"
            some = f"{self._some(one, 'a')}, b.{keys[0]}"
        return f"SELECT {some} FROM {one} AS a {how} {inner} AS b {both} WHERE {where}"

    def _outer(self) -> str:
        one, other, keys = self._pair()
        how = self._pick(("LEFT", "RIGHT", "FULL"))
        inner = f"(FROM {other} AS s WHERE {self._where(other, 's')})"
        on = " AND ".join(f"a.{key} = b.{key}" for key in keys)
        extra = f" AND {self._atom(one, 'a', False)}" if self._dice.random() < 0.5 and how != "FULL" else ""
        where = f" WHERE {self._where(one, 'a')}" if self._dice.random() < 0.7 else ""
        some = f"{self._some(one, 'a')}, b.{keys[-1]}"
        return f"SELECT {some} FROM {one} AS a {how} JOIN {inner} AS b ON {on}{extra}{where}"

    def _comma(self) -> str:
        one, other, keys = self._pair()
        on = " AND ".join(f"b.{key} = a.{key}" for key in keys)
        third = ""
        if self._dice.random() < 0.3:
            third, on = ", image_sets AS c", f"{on} AND c.image_set = a.image_set AND c.images < 100"
            on = (
                on if "image_set" in COLUMNS[one].split() else on.replace("c.image_set = a.image_set", "true")
            )
        where = f"{on} AND {self._where(other, 'b')} AND {self._where(one, 'a')}"
        return f"SELECT {self._some(one, 'a')} FROM {one} AS a, {other} AS b{third} WHERE {where}"

    def _with(self) -> str:
        """Draw a WITH, at times under the name of a table that it hides."""
        table, other = self._table(), self._pick(_SMALL)
        name = self._pick(("few", other, table))
        keep = f"WITH {name} AS (FROM {table} AS a WHERE {self._where(table, 'a')})"
        key = self._key(table)
        forms = (
            f"{keep} SELECT {self._some(table, 'f')} FROM {name} AS f",
            f"{keep} SELECT count(*), count(DISTINCT {key}) FROM {name}",
            f"{keep} SELECT f.{key} FROM {name} AS f WHERE f.{key} = (SELECT max({key}) FROM {name})",
            f"{keep} SELECT {key}, 1 AS w FROM {name} UNION ALL SELECT {key}, 2 FROM {name} WHERE 1 < 2",
            f"{keep}, more AS (SELECT DISTINCT {key} FROM {name}) SELECT {key} FROM more",
        )
        return str(self._pick(forms))

    def _set(self) -> str:
        one, other = self._table(), self._table()
        shared = [c for c in COLUMNS[one].split() if c in COLUMNS[other].split()][:3]
        how = self._pick(("UNION", "UNION ALL", "EXCEPT", "INTERSECT"))
        both = ", ".join(shared) or "1"
        return (
            f"SELECT {both} FROM {one} AS a WHERE {self._where(one, 'a')} {how} "
            f"SELECT {both} FROM {other} AS b WHERE {self._where(other, 'b')}"
        )

    def _window(self) -> str:
        table = self._table()
        keys = [c for c in COLUMNS[table].split() if c in _INTS or c in _WORDS]
        over = f"OVER (PARTITION BY {keys[-1]} ORDER BY {', '.join(keys)})"
        call = self._pick(("row_number()", "rank()", f"min({keys[0]})", "count(*)"))
        last = self._pick(("", f" QUALIFY {call} {over} IS NOT NULL"))
        where = f"{self._where(table, 'a')}{last}"
        return f"SELECT {', '.join(keys)}, {call} {over} AS r FROM {table} AS a WHERE {where}"

    def _unnest(self) -> str:
        table = self._pick([name for name in _VIEWS if "vector" in COLUMNS[name]])
        key = self._key(table)
        forms = (
            "SELECT {1}, unnest(vector) AS v FROM {0} AS a WHERE {2}",
            "SELECT {1}, v FROM {0} AS a, unnest(a.vector) AS u(v) WHERE {2} AND v > 0",
            "SELECT {1}, vector[1], vector[2:3], len(vector) FROM {0} AS a WHERE {2}",
            "SELECT {1}, list_cosine_similarity(vector, list_reverse(vector)) AS c FROM {0} AS a WHERE {2}",
        )
        return str(self._pick(forms)).format(table, key, self._where(table, "a"))

    def _nested(self) -> str:
        table = self._table()
        key, other = self._key(table), self._key(table)
        inner = f"SELECT {key} AS k, {other} AS o FROM {table} AS a WHERE {self._where(table, 'a')}"
        forms = (
            f"SELECT k, count(*) FROM ({inner}) GROUP BY k",
            "SELECT k, (SELECT count(*) FROM images WHERE image_id = t.n) "
            f"FROM (SELECT k, min(length(o::VARCHAR)) AS n FROM ({inner}) GROUP BY k) AS t",
            f"SELECT DISTINCT k FROM ({inner}) WHERE o IS NOT NULL",
        )
        return str(self._pick(forms))

    def _sorted(self) -> str:
        table = self._table()
        some = ", ".join(COLUMNS[table].split()[:-1])
        end = self._pick(("LIMIT 7", "LIMIT 1", "LIMIT 20 OFFSET 3"))
        way = self._pick(("", " DESC"))
        return f"SELECT {some} FROM {table} AS a WHERE {self._where(table, 'a')} ORDER BY ALL{way} {end}"

    def _listed(self) -> str:
        """Draw a table with rows that are written down beside it, or that follow from its own."""
        table = self._table()
        known = [c for c in COLUMNS[table].split() if c in _INTS or c in _WORDS]
        keys = self._dice.sample(known, min(len(known), self._pick((1, 1, 2))))
        rows = [
            ", ".join(self._value(self._pick(_INTS.get(key) or _WORDS[key])) for key in keys)
            for _ in range(self._pick((1, 2, 4)))
        ]
        listed, names = ", ".join(f"({row})" for row in rows), ", ".join(keys)
        values = f"(VALUES {listed}) AS v({names})"
        where, some = self._where(table, "a"), self._some(table, "a")
        mine = ", ".join(f"a.{key}" for key in keys)
        on = " AND ".join(f"v.{key} = a.{key}" for key in keys)
        how = self._pick(("JOIN", "LEFT JOIN", "RIGHT JOIN", "SEMI JOIN", "ANTI JOIN"))
        forms = (
            f"SELECT {some} FROM {table} AS a {how} {values} USING ({names}) WHERE {where}",
            f"SELECT {some} FROM {table} AS a JOIN {values} ON {on} WHERE {where}",
            f"WITH v({names}) AS (VALUES {listed}) SELECT {some} FROM v, {table} AS a WHERE {on} AND {where}",
            f"SELECT {some} FROM {table} AS a WHERE ({mine}) IN ({listed}) AND {where}",
            f"SELECT {some} FROM {table} AS a WHERE ({mine}) IN (VALUES {listed}) OR {where}",
            f"SELECT {some}, v.n FROM {table} AS a, LATERAL (SELECT count(*) AS n FROM images AS s "
            f"WHERE s.image_set = a.image_set AND s.image_id < 3) AS v WHERE {where}"
            if "image_set" in known
            else f"SELECT {some} FROM {table} AS a WHERE {where}",
        )
        return str(self._pick(forms))

    def _selves(self) -> str:
        """Join a table with itself."""
        table = self._pick(
            [name for name in _VIEWS if name not in ("neuron_activations", "token_contributions")]
        )
        keys = [c for c in COLUMNS[table].split() if c in _INTS or c in _WORDS]
        loose = self._pick([key for key in keys if key not in ("image_id", "neuron", "text_id")])
        on = " AND ".join(f"a.{key} = b.{key}" for key in keys if key != loose)
        return (
            f"SELECT {self._some(table, 'a')}, b.{keys[-1]} FROM {table} AS a JOIN {table} AS b ON {on} "
            f"WHERE {self._where(table, 'a')} AND {self._where(table, 'b')}"
        )


def _literal(value: Any) -> str:
    return "'{}'".format(value.replace("'", "''")) if isinstance(value, str) else str(value)
