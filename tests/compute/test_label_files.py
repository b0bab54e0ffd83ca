"""Published formats of label files: found by their headers, read without guessing, refused with reasons."""

from __future__ import annotations

from pathlib import Path

import pytest

from belvedere.compute.label_files import ADAPTERS, choose
from belvedere.compute.label_files.entries import Label, Place, Rating, Score
from belvedere.compute.label_files.reading import Read, Target, layers, read
from belvedere.compute.label_files.sheet import Reject
from belvedere.compute.label_files.sheet import read as read_sheet
from belvedere.compute.label_files.wording import is_refusal, worded
from belvedere.store.errors import BadSource, UnknownName
from tests import label_files as files
from tests.label_files import WIDTHS, written

NAMES = {
    files.DND: "dnd",
    files.DND_ONE: "dnd",
    files.DND_CANDIDATES: "dnd",
    files.CLIP_DISSECT: "clip-dissect",
    files.MILANNOTATIONS: "milannotations",
    files.NETDISSECT: "netdissect",
    files.INVERT: "invert",
    files.FALCON: "falcon",
    files.COSY: "cosy",
    files.HUMAN: "human-ratings",
    files.RATINGS: "ratings",
}


def taken(
    folder: Path,
    text: str,
    module: str = "layer4",
    *,
    asked: dict[str, str] | None = None,
    base: int | None = None,
    form: str | None = None,
) -> Read:
    """Read a file as that of one module or, where it has layers, of those that are asked for."""
    sheet = read_sheet(written(folder, text))
    adapter = choose(sheet, form)
    named = asked or {name: name for name in layers(sheet, adapter)}
    targets: dict[str | None, Target] = {layer: Target(name, WIDTHS[name]) for layer, name in named.items()}
    return read(sheet, adapter, targets or {None: Target(module, WIDTHS[module])}, base)


def told(found: Read) -> list[tuple[object, ...]]:
    """Give what was read of labels: module, neurons, rank, raw text, score."""
    return [
        (each.module, each.neurons, entry.rank, entry.raw, entry.score)
        for each in found.said
        for entry in each.entries
        if isinstance(entry, Label)
    ]


@pytest.mark.parametrize(("text", "name"), NAMES.items(), ids=NAMES.values())
def test_a_format_is_known_by_its_header(tmp_path: Path, text: str, name: str) -> None:
    assert choose(read_sheet(written(tmp_path, text)), None).name == name


def test_a_header_of_two_formats_and_an_unknown_one_have_to_be_named(tmp_path: Path) -> None:
    sheet = read_sheet(written(tmp_path, files.UNSCORED))
    with pytest.raises(BadSource, match=r"that of clip-dissect and milan; say which: format='clip-dissect'"):
        choose(sheet, None)
    assert [choose(sheet, name).name for name in ("milan", "clip-dissect")] == ["milan", "clip-dissect"]
    with pytest.raises(UnknownName, match="no format of label files 'milann'; did you mean 'milan'"):
        choose(sheet, "milann")
    with pytest.raises(BadSource, match="is no file of cosy: it has layer, unit, description, and no auc"):
        choose(sheet, "cosy")
    short = read_sheet(written(tmp_path, "unit,category,label,score\n1,color,red-c,0.5\n"))
    with pytest.raises(BadSource, match="label, score, and no column such as color-label"):
        choose(short, "netdissect")
    more = read_sheet(written(tmp_path, "layer,unit,summary,worker\nlayer1,0,a,9\n"))
    with pytest.raises(BadSource, match="has the header layer, unit, summary, worker, which is of no format"):
        choose(more, None)
    assert choose(more, "milannotations").ignored(more.columns) == ["worker"]


def test_describe_and_dissect_ranks_its_columns_and_nothing_is_missing(tmp_path: Path) -> None:
    assert told(taken(tmp_path, files.DND)) == [
        ("layer4", (3,), 0, "stripes", None),
        ("layer4", (3,), 1, "thin stripes", None),
        ("layer4", (3,), 2, "Stripes", None),
        ("layer4", (0,), 0, "round lids", None),
        ("layer4", (0,), 1, " ", None),
        ("layer4", (0,), 2, '"Lids, of pots"', None),
        ("layer4", (5,), 0, "dots\nand more dots.", None),
        ("layer4", (5,), 1, "null", None),
        ("layer4", (5,), 2, "nan", None),
        ("layer4", (7,), 0, "I'm sorry, I cannot determine a concept.", None),
        ("layer4", (7,), 1, "n/a", None),
        ("layer4", (7,), 2, "", None),
    ]
    assert told(taken(tmp_path, files.DND_ONE, "fc")) == [
        ("fc", (0,), 0, "boats at sea", None),
        ("fc", (4,), 0, '"mens hats"', None),
    ]
    assert told(taken(tmp_path, files.DND_CANDIDATES)) == [
        ("layer4", (2,), 0, "red walls", None),
        ("layer4", (2,), 1, "walls", None),
    ]


def test_layers_are_taken_as_they_are_asked_for(tmp_path: Path) -> None:
    every = taken(tmp_path, files.CLIP_DISSECT)
    assert told(every) == [
        ("conv1", (0,), 0, "red", 0.25),
        ("conv1", (1,), 0, " teal", 0.5),
        ("layer4", (7,), 0, "none", None),
    ]
    one = taken(tmp_path, files.CLIP_DISSECT, asked={"layer4": "layer4"})
    assert (told(one), one.left) == ([("layer4", (7,), 0, "none", None)], {"conv1": 2})
    assert told(taken(tmp_path, files.UNSCORED, form="milan"))[0] == (
        "layer1",
        (0,),
        0,
        "Red, and round",
        None,
    )


def test_annotators_are_numbered_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = taken(tmp_path, files.MILANNOTATIONS)
    assert [(each.neurons, each.annotator) for each in found.said] == [
        ((4,), 0),
        ((4,), 1),
        ((4,), 2),
        ((0,), 0),
    ]


def test_network_dissection_counts_from_one_and_ranks_the_other_categories(tmp_path: Path) -> None:
    found = taken(tmp_path, files.NETDISSECT)
    first = next(each for each in found.said if each.neurons == (0,)).entries
    assert [(e.text, e.score, e.score_name) for e in first if isinstance(e, Label)] == [
        ("teal", 0.125, "iou"),
        ("beach", 0.0625, "iou"),
    ]
    assert isinstance(first[0], Label)
    assert first[0].more == {"truth": 80, "activation": 40, "intersect": 15}
    assert [each[1:4] for each in told(found)[2:]] == [
        ((5,), 0, "lamp"),
        ((5,), 1, "attic-s"),
        ((5,), 2, "grey-c"),
    ]
    wrong = files.NETDISSECT.replace("object,lamp,0.5", "object,lamp,0.75")
    assert [(each.line, each.reason) for each in taken(tmp_path, wrong).rejects] == [
        (3, "score 0.75 is not the IoU 0.5 of its category object")
    ]


def test_invert_falcon_and_cosy_are_read_whole(tmp_path: Path) -> None:
    formula, cat = taken(tmp_path, files.INVERT).said
    assert formula.entries == (
        Label(Place(2, None, 0), 0, "sea OR lake", "sea OR lake", 0.875, "auroc", more={"concept_id": 12}),
    )
    assert isinstance(cat.entries[0], Label)
    assert cat.entries[0].more == {"concept_id": 2121808}
    alone, group = taken(tmp_path, files.FALCON).said
    assert alone.neurons == (2,)
    assert [(e.rank, e.text, e.score, e.score_name) for e in alone.entries if isinstance(e, Label)] == [
        (0, "wheel", 0.5, "falcon_words"),
        (1, "it's", 0.25, "falcon_words"),
        (2, "a wheel", 0.75, "falcon_noun_phrases"),
    ]
    assert isinstance(group.entries[0], Label)
    assert (group.neurons, group.entries[0].group) == ((0, 6), "0,6")
    measured = [entry for each in taken(tmp_path, files.COSY).said for entry in each.entries]
    assert [(e.raw, e.name, e.value) for e in measured if isinstance(e, Score)] == [
        ("red", "cosy_auc", 0.75),
        ("red", "cosy_mad", 1.5),
        ("red", "cosy_u", 12.0),
        ("red", "cosy_p", 0.5),
        ("teal", "cosy_auc", 0.5),
        ("teal", "cosy_mad", -0.25),
    ]


def test_shares_beyond_one_are_refused(tmp_path: Path) -> None:
    (reject,) = taken(tmp_path, files.INVERT.replace("0.875", "1.7")).rejects
    assert reject.reason == "metric 1.7 is not from 0 to 1"
    wrong = "neuron,concept,AUC,MAD,p\n0,red,1.9,0.5,\n1,blue,0.5,0.5,-1\n2,teal,1,4,0\n"
    found = taken(tmp_path, wrong)
    assert [(each.line, each.reason) for each in found.rejects] == [
        (2, "auc 1.9 is not from 0 to 1"),
        (3, "p -1 is not from 0 to 1"),
    ]
    assert len(found.said) == 1


def test_falcon_lists_are_read_and_never_run(tmp_path: Path) -> None:
    rows = [
        "1,__import__('os').getcwd(),[]",
        "2,\"[('a', 1.0)]\",[]",
        "3,\"[('a', 1e999)]\",[]",
        "4,\"['ab', ('c', 'x')]\",[]",
    ]
    text = "\n".join(["group,concept_set_words,concept_set_noun_phrases", *rows])
    found = taken(tmp_path, text)
    assert [each.line for each in found.rejects] == [2, 4, 5]
    assert {each.reason.split(" of ")[0] for each in found.rejects} == {"concept_set_words is no list"}


def test_ratings_of_people_become_one_for_each_method_and_rater(tmp_path: Path) -> None:
    found = taken(tmp_path, files.HUMAN, asked={"1": "layer1", "4": "layer4"})
    rated = [
        (each.module, e.method, e.rater, e.rating, e.note)
        for each in found.said
        for e in each.entries
        if isinstance(e, Rating)
    ]
    assert rated == [
        ("layer1", "DnD", "E1", 4, None),
        ("layer1", "MILAN", "E1", 2, None),
        ("layer1", "DnD", "E2", 5, "no label fits"),
        ("layer1", "MILAN", "E2", None, "no label fits"),
        ("layer4", "DnD", "E1", 5, "uninterpretable"),
        ("layer4", "MILAN", "E1", 3, "uninterpretable"),
        ("layer4", "DnD", "E2", 5, None),
        ("layer4", "MILAN", "E2", 4, None),
    ]
    (one,) = taken(tmp_path, files.RATINGS).said
    assert one.entries == (Rating(Place(2, None, 0), "dnd", "wheels", "ann", 4.5, "set-1", None),)


def test_units_that_count_from_another_number_are_refused_with_what_to_say(tmp_path: Path) -> None:
    ones = "Neuron ID,label\n" + "".join(f"{unit},a\n" for unit in range(1, 9))
    with pytest.raises(
        BadSource, match=r"run from 1 to 8, and 'layer4' has 8 neurons: they count from 1; say base=1"
    ):
        taken(tmp_path, ones)
    assert [each.neurons for each in taken(tmp_path, ones, base=1).said] == [(unit,) for unit in range(8)]
    with pytest.raises(BadSource, match=r"run from 0 to 5: they count from 0, and not from 1; say base=0"):
        taken(tmp_path, files.NETDISSECT.replace("\n1,", "\n0,").replace("\n6,", "\n5,"))


def test_a_unit_beyond_the_layer_is_rejected_and_a_file_of_another_layer_refused(tmp_path: Path) -> None:
    few = "Neuron ID,label\n0,a\n1,b\n8,c\n-1,d\n2.0,e\n2,f\n"
    assert [(each.line, each.raw, each.reason) for each in taken(tmp_path, few).rejects] == [
        (4, "8,c", "neuron 8, from 0, is beyond the 8 neurons of 'layer4'"),
        (5, "-1,d", "neuron -1, from 0, is beyond the 8 neurons of 'layer4'"),
        (6, "2.0,e", "neuron id '2.0' is no whole number"),
    ]
    with pytest.raises(
        BadSource, match="3 of 5 are beyond the 8 neurons of 'layer4': it is a file of another"
    ):
        taken(tmp_path, "Neuron ID,label\n0,a\n1,b\n8,c\n9,d\n100,e\n")


def test_rejected_rows_keep_the_line_in_which_they_begin(tmp_path: Path) -> None:
    text = (
        'layer,unit,description,similarity\r\nconv1,0,"a\r\nb",0.5\r\n\r\nconv1,1,c,high\r\nconv1,0,d,0.5\r\n'
    )
    found = taken(tmp_path, f"{text}conv1,2\r\nconv1,3,e,nan\r\nconv1,2,f,1e3")
    assert found.rejects == [
        Reject(5, "conv1,1,c,high", "similarity 'high' is no finite number"),
        Reject(6, "conv1,0,d,0.5", "neuron 0 of 'conv1' has a row already, in line 2"),
        Reject(7, "conv1,2", "2 cells where the header has 4"),
        Reject(8, "conv1,3,e,nan", "similarity 'nan' is no finite number"),
    ]
    assert [each[3:] for each in told(found)] == [("a\r\nb", 0.5), ("f", 1000.0)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"Neuron ID,label\n1,\xff\n", r"is not UTF-8 \(line 2\)"),
        (
            b'Neuron ID,label\n1,"open\n2,b\n',
            r"cannot be read as CSV from line 2 on \(unexpected end of data\)",
        ),
        (b"", "has no header of several columns"),
        (b"a;b\n1;2\n", "no header of several columns with commas between them: there is just 'a;b'"),
        (b"unit,label,Label\n", "has several columns 'label'"),
        (b"Layer,Unit,DnD Label\n1,0,a\n", "none of the 1 rows .*: there is no column METHOD E1 Rating"),
        (b"Neuron ID,label\n", "has no row below its header"),
        (
            b"Neuron ID,label\nx,a\ny,b\n",
            "none of the 2 rows of .* the first, line 2: neuron id 'x' is no whole",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(data)
    with pytest.raises(BadSource, match=message):
        whole(path)
    with pytest.raises(BadSource, match="no file"):
        read_sheet(tmp_path / "none.csv")


def whole(path: Path) -> Read:
    """Read a file as that of layer4."""
    sheet = read_sheet(path)
    return read(sheet, choose(sheet, None), {None: Target("layer4", 8), "1": Target("layer1", 6)}, None)


def test_a_byte_order_mark_and_a_column_of_row_numbers_are_no_content(tmp_path: Path) -> None:
    assert told(taken(tmp_path, "\ufeff,Neuron ID,label\n0,3,red\n")) == [("layer4", (3,), 0, "red", None)]


def test_labels_are_worded_alike_and_words_stay_words() -> None:
    raws = ["  two\n words ", "“quoted.”", "e\u0301tang", "etc..", "'", " . ", "nan", "N/A", "green (light)"]
    assert [worded(raw) for raw in raws] == [
        *("two words", "quoted", "\u00e9tang", "etc..", "'", None, "nan", "N/A", "green (light)"),
    ]
    said = ["Sorry, there is none", "I can’t say", "I am unable to help", "as an AI, I", "I apologize"]
    assert [is_refusal(text) for text in said] == [True] * 5
    plain = ["cant", "a sorry sight", "people who can sing", "unable birds", "canned food"]
    assert [is_refusal(text) for text in plain] == [False] * 5


def test_every_format_has_a_name_of_its_own() -> None:
    assert [name for name, each in ADAPTERS.items() if each.name != name] == []
    assert {*NAMES.values(), "milan"} == set(ADAPTERS)
