"""Neurons in words, stage by stage: kept, resumed, priced, and the same whoever else is asked for."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import numpy as np
import pytest
from PIL import Image

import belvedere
from belvedere import Allowance
from belvedere.compute.images.pixels import pixels_of
from belvedere.compute.instruments import paintings
from belvedere.compute.instruments.paintings import Asked
from belvedere.compute.language import candidates
from belvedere.compute.language.openai_http import OpenAI
from belvedere.compute.running import causes
from belvedere.compute.running.report import Progress
from belvedere.compute.views.captions import Captions
from belvedere.store import digest
from belvedere.store.errors import BadKey, BadSource, BudgetSpent, NameTaken, UnknownName, WeightsChanged
from belvedere.store.memos import Memos
from belvedere.store.sets import Captioner, Painter
from tests.chat_server import ChatServer, Said, error, serving, words
from tests.describers import BRIEF, CHAIN, STAGES, describing, stage, tables
from tests.known_neurons import KnownNet, to_tensor
from tests.worlds import engine


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of which the last layer's activations are computed, their statistics, and the top images."""
    store = describing(tmp_path_factory.mktemp("describing") / "store")
    for view in ("top_images", "neuron_statistics"):
        assert store.view(view, model="net", module="fc").fill(progress=False).complete
    return store.path


@pytest.fixture
def path(blank: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(blank, tmp_path / "store"))


@pytest.fixture(scope="module")
def undisturbed(blank: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """All tables of four neurons, labelled by rules and filled at once."""
    path = shutil.copytree(blank, tmp_path_factory.mktemp("undisturbed") / "store")
    return tables(belvedere.open(path), "neuron < 4")


def test_labels_do_not_depend_on_which_neurons_are_asked_for_and_when(
    path: Path, undisturbed: dict[str, list[dict[str, Any]]]
) -> None:
    store = belvedere.open(path)
    alone = tables(store, "neuron = 3")
    assert alone == {name: [row for row in rows if row["neuron"] == 3] for name, rows in undisturbed.items()}
    for neuron in (2, 0, 1):
        stage(store, "described_labels").where(f"neuron = {neuron}").fill(progress=False)
    assert tables(store, "neuron < 4") == undisturbed


def test_each_stage_says_what_it_is_about(undisturbed: dict[str, list[dict[str, Any]]]) -> None:
    assert (
        {name: sorted({row["neuron"] for row in rows}) for name, rows in undisturbed.items()}
        == {
            "neuron_crops": [],  # a last layer has no maps
            **{name: [0, 1, 2, 3] for name in CHAIN[1:]},
        }
    )
    for row in undisturbed["captions"]:
        assert row["captioner"] == "blip"
        assert row["caption"]
    exemplars = [(row["neuron"], row["rank"], row["pixels"]) for row in undisturbed["neuron_exemplars"]]
    assert [(row["neuron"], row["rank"], row["pixels"]) for row in undisturbed["captions"]] == exemplars
    named = {(row["neuron"], row["candidate"]) for row in undisturbed["label_candidates"]}
    assert {(row["neuron"], row["concept"]) for row in undisturbed["synthetic_images"]} == named
    assert {(row["neuron"], row["concept"]) for row in undisturbed["candidate_scores"]} == named
    assert {(row["neuron"], row["label"]) for row in undisturbed["described_labels"]} <= named


def test_candidates_are_judged_by_how_far_the_neuron_is_shifted(
    blank: Path, undisturbed: dict[str, list[dict[str, Any]]]
) -> None:
    usual = belvedere.open(blank, mode="r").view("neuron_statistics", model="net", module="fc").arrow()
    known = {row["neuron"]: row for row in usual.to_pylist()}
    scores = undisturbed["candidate_scores"]
    for row in scores:
        mine = known[row["neuron"]]
        shift = (row["activation"] - mine["mean"]) / mine["std"]
        assert (row["score_name"], row["score"], row["shift"]) == (
            "shift",
            row["shift"],
            pytest.approx(shift),
        )
    assert scores == sorted(scores, key=lambda row: (row["neuron"], -row["score"]))
    assert {row["label"] for row in undisturbed["described_labels"] if row["rank"] == 0} == {
        row["concept"] for row in scores if row["position"] == 0
    }


def test_a_module_with_maps_has_crops_within_its_pictures(path: Path) -> None:
    store = belvedere.open(path)
    found = stage(store, "neuron_exemplars", module="layer4").where("neuron < 3").arrow().to_pylist()
    assert {row["kind"] for row in found} == {"image", "crop"}
    for row in found:
        assert 0 <= row["x0"] < row["x1"] <= 64
        assert 0 <= row["y0"] < row["y1"] <= 64
    for neuron in range(3):
        values = [row["activation"] for row in found if row["neuron"] == neuron]
        assert values == sorted(values, reverse=True)


def test_without_crops_the_exemplars_are_the_top_images(path: Path) -> None:
    store = belvedere.open(path)
    asked = stage(store, "neuron_exemplars", module="layer4", crops=0).where("neuron = 1").arrow().to_pylist()
    top = store.view("top_images", module="layer4", model="net").where("neuron = 1 AND rank < 4").arrow()
    assert [row["image_id"] for row in asked] == top["image_id"].to_pylist()


def test_neurons_that_say_nothing_have_a_status_and_cost_nothing(path: Path) -> None:
    store = belvedere.open(path)
    store.add_model("known", KnownNet().eval(), transform=to_tensor, transform_id="RGB from 0 to 1")
    with serving(lambda body, number: words("never asked")) as server:
        _speak(store, server)
        labels = stage(store, "described_labels", model="known", module="grounds", language="gpt")
        rows = labels.where("neuron >= 6 AND neuron < 9").arrow().to_pylist()
    assert [(row["neuron"], row["status"], row["label"], row["score"]) for row in rows] == [
        (6, "dead", None, None),
        (7, "constant", None, None),
        (8, "tied", None, None),
    ]
    assert server.calls == 0


def _speak(store: belvedere.Store, server: ChatServer) -> None:
    os.environ.update(server.environ)
    store.add_language("gpt", "openai:small", replace=True)


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def reply(body: dict[str, Any], number: int) -> Said:
    """Answer with words that depend on what is asked alone."""
    asked = body["messages"][-1]["content"]
    colours = [each for each in ("red", "blue", "green", "pink", "white") if each in asked]
    return words(f"{colours[body['seed'] % len(colours)] if colours else 'plain'} shapes")


def test_a_plan_tells_calls_captions_and_paintings_exactly_once_what_they_need_is_there(path: Path) -> None:
    store = belvedere.open(path)
    with serving(reply) as server:
        _speak(store, server)
        asked = {"language": "gpt"}
        before = stage(store, "described_labels", **asked).where("neuron < 3").plan()
        told = {name: work.facts() for name, work in before.work.items()}
        store.declare("called", "described_labels", model="net", module="fc", language="gpt", **BRIEF)
        prices = {"small": {"usd_in": 1.0, "usd_out": 2.0}}
        query = "SELECT label FROM called WHERE neuron < 3"
        costs = {row["view"]: row["work"] for row in store.plan(query, prices=prices).rows()}
        assert (costs["captions"].captions.most, costs["synthetic_images"].paintings.most) == (12, 18)
        assert costs["all"].usd is not None
        assert costs["all"].usd.most > 0
        with pytest.raises(BadSource, match=r"none of 'small'; it has gpt\. It names models as"):
            store.plan(query, prices={"gpt": prices["small"]})
        assert (told["captions"]["captions"], told["captions"]["captions_at_least"]) == (12, 0)
        assert (told["label_candidates"]["calls_at_least"], told["label_candidates"]["calls"]) == (0, 18)
        assert told["synthetic_images"]["paintings"] == 3 * 3 * 2
        for view, counted in (
            ("neuron_exemplars", "pictures"),
            ("captions", "captions"),
            ("label_candidates", "calls"),
            ("synthetic_images", "paintings"),
            ("candidate_scores", "pictures"),
        ):
            more = asked if view in ("label_candidates", "synthetic_images", "candidate_scores") else {}
            stages = CHAIN[: CHAIN.index(view)]
            beneath = asked if stages[-1] in ("label_candidates", "synthetic_images") else {}
            stage(store, stages[-1], **beneath).where("neuron < 3").fill(progress=False)
            work = stage(store, view, **more).where("neuron < 3").plan().work[view].facts()
            if view == "label_candidates":
                assert work["calls_at_least"] == 9
                stage(store, view, **more).where("neuron < 3").fill(progress=False)
                assert server.calls == 9
            elif view == "captions":
                pixels = stage(store, "neuron_exemplars").where("neuron < 3").arrow()["pixels"].to_pylist()
                assert work[counted] == len(set(pixels))
            elif view == "synthetic_images":
                rows = stage(store, "label_candidates", **asked).where("neuron < 3").arrow().to_pylist()
                assert work[counted] == 2 * len({row["candidate"] for row in rows})
            else:
                assert work[counted] > 0
            assert work.keys() == {"pictures", "captions", "calls", "tokens", "usd", "paintings"} or (
                view == "label_candidates"
            )
        stage(store, "described_labels", **asked).where("neuron < 3").fill(progress=False)
        assert stage(store, "described_labels", **asked).where("neuron < 3").plan().work == {}


def test_another_language_than_the_rules_know_is_refused_before_anything_runs(path: Path) -> None:
    store = belvedere.open(path)
    with pytest.raises(BadSource, match=r"label_language='de': rules know English only; register a language"):
        stage(store, "described_labels", label_language="de")
    assert stage(store, "described_labels", label_language="de", summarise=False).plan().units


def test_replies_are_asked_for_once_and_shared(path: Path) -> None:
    store = belvedere.open(path)
    with serving(reply) as server:
        _speak(store, server)
        first = tables(store, "neuron < 3", language="gpt")
        calls = server.calls
        assert calls == 9
        again = belvedere.open(path)
        again.gc(dry_run=False, grace=0)
        for record in path.glob("units/label_candidates/**/*.json"):
            record.unlink()  # the units are gone, the replies are not
        assert tables(belvedere.open(path), "neuron < 3", language="gpt") == first
        assert server.calls == calls


@pytest.mark.slow
def test_a_run_that_is_killed_between_stages_asks_nothing_twice(path: Path, tmp_path: Path) -> None:
    undisturbed = Path(shutil.copytree(path, tmp_path / "undisturbed"))
    with serving(reply) as server:
        store = belvedere.open(undisturbed)
        _speak(store, server)
        wanted = tables(store, "neuron < 3", language="gpt")
        calls = server.calls
        _speak(belvedere.open(path), server)
        for moment in ("captions", "label_candidates", "synthetic_images", "candidate_scores"):
            worker = multiprocessing.get_context("forkserver").Process(
                target=_fill, args=(path, dict(server.environ)), daemon=True
            )
            worker.start()
            seen = path / "units" / moment
            while worker.is_alive() and not list(seen.glob("**/*.json")):
                time.sleep(0.01)
            if worker.pid is not None and worker.is_alive():
                os.kill(worker.pid, signal.SIGKILL)
            worker.join()
        assert tables(belvedere.open(path), "neuron < 3", language="gpt") == wanted
        assert server.calls - calls <= calls + 8  # replies that were under way when it was killed
        asked = [str(body) for body in server.asked[calls:]]
        assert len(asked) - len(set(asked)) <= 8


def _fill(path: Path, environ: dict[str, str]) -> None:
    os.environ.update(environ)
    stage(belvedere.open(path), "described_labels", language="gpt").where("neuron < 3").fill(progress=False)


def test_a_budget_ends_a_run_before_the_call_and_what_was_answered_is_kept(path: Path) -> None:
    store = belvedere.open(path)
    with serving(reply) as server:
        _speak(store, server)
        labels = stage(store, "label_candidates", language="gpt").where("neuron < 3")
        with pytest.raises(BudgetSpent, match="max_calls"):
            labels.fill(allowance=Allowance(max_calls=4), progress=False)
        assert server.calls == 4
        assert labels.fill(progress=False).complete
        assert server.calls == 9


def test_a_budget_holds_for_a_call_as_a_whole_however_many_scans_and_names_it_fills(path: Path) -> None:
    store = belvedere.open(path)
    five: dict[str, Any] = {"allowance": Allowance(max_calls=5), "progress": False}
    with serving(reply) as server:
        _speak(store, server)
        asked: dict[str, Any] = {name: BRIEF[name] for name in STAGES["label_candidates"]}
        asked |= {"model": "net", "images": "scenes", "module": "fc", "language": "gpt"}
        store.declare("said", "label_candidates", **asked)
        of = "SELECT neuron, candidate FROM said WHERE neuron = {}".format
        with pytest.raises(BudgetSpent, match="max_calls=5 is spent: 5 calls"):
            store.sql(f"{of(0)} UNION ALL {of(1)}", fill=True, **five).fetchall()
        assert server.calls == 5
        store.declare("two", sql=of(2))
        store.declare("three", sql=of(3))
        with pytest.raises(BudgetSpent, match="max_calls"):
            store.refresh("two", "three", **five)
        assert server.calls == 10
        assert all(report.complete for report in store.refresh("two", "three", **five).values())
        assert server.calls == 11, "another call has a budget of its own"


class Watching(Progress):
    """Counts the models of an endpoint that are in memory whenever a unit is kept."""

    def __init__(self, url: str) -> None:
        self.url, self.there = url, list[int]()

    def kept(self) -> None:
        gc.collect()
        found = [each for each in gc.get_objects() if type(each) is OpenAI and each._base == self.url]
        self.there.append(len(found))


def test_a_language_model_makes_room_for_the_painter_after_it(path: Path) -> None:
    store = belvedere.open(path)
    with serving(reply) as server:
        watching = Watching(server.url)
        _speak(store, server)
        assert stage(store, "captions").where("neuron = 0").fill(progress=False).complete
        asked = stage(store, "synthetic_images", language="gpt").where("neuron = 0")
        assert asked.fill(progress=watching).filled == 2
    assert watching.there == [1, 0]


def test_a_price_that_is_not_known_stops_a_run_in_dollars_before_anything_is_sent(path: Path) -> None:
    store = belvedere.open(path)
    with serving(reply) as server:
        _speak(store, server)
        labels = stage(store, "label_candidates", language="gpt").where("neuron < 3")
        with pytest.raises(belvedere.BelvedereError, match="price"):
            labels.fill(allowance=Allowance(max_usd=1.0), progress=False)
        assert server.calls == 0


def test_a_key_that_is_wrong_ends_a_run_and_is_never_told(path: Path) -> None:
    store = belvedere.open(path)
    with serving(lambda body, number: error(401, "no such key")) as server:
        _speak(store, server)
        with pytest.raises(BadKey) as raised:
            stage(store, "label_candidates", language="gpt").where("neuron < 3").fill(progress=False)
    assert server.environ["OPENAI_API_KEY"] not in str(raised.value)
    assert store.errors() == []
    for file in path.rglob("*"):
        assert not file.is_file() or server.environ["OPENAI_API_KEY"].encode() not in file.read_bytes()


def test_a_language_model_that_refuses_gives_a_status_and_no_label(path: Path) -> None:
    store = belvedere.open(path)
    with serving(lambda body, number: words("I'm sorry, but I can't help with that.")) as server:
        _speak(store, server)
        rows = stage(store, "described_labels", language="gpt").where("neuron = 0").arrow().to_pylist()
    assert [(row["rank"], row["label"], row["score"], row["status"]) for row in rows] == [
        (0, None, None, "refused")
    ]
    assert server.calls == 6  # each of three samples, and once more in stricter words


class Teller:
    """Says how bright a picture is, and keeps what it was shown together."""

    def __init__(self) -> None:
        self.shown: list[set[str]] = []

    def caption(self, pictures: Sequence[Image.Image], **how: int) -> list[str]:
        self.shown.append({pixels_of(each) for each in pictures})
        return [f"level {np.asarray(each).mean():.0f}" for each in pictures]


def test_pictures_of_several_neurons_are_not_captioned_together(path: Path) -> None:
    store = belvedere.open(path)
    lower, teller = engine(store), Teller()
    facts = Captioner("teller", "test:teller", {"tells": "brightness"})
    lower.folder.names.put_instrument(facts, 0)
    lower.residents._instrument = (f"{facts.key} cpu", teller)
    captions = stage(store, "captions", captioner="teller").where("neuron < 3").arrow().to_pylist()
    exemplars = stage(store, "neuron_exemplars").where("neuron < 3").arrow().to_pylist()
    of = [{row["pixels"] for row in exemplars if row["neuron"] == neuron} for neuron in range(3)]
    assert len(teller.shown) == 3
    assert all(shown <= mine for shown, mine in zip(teller.shown, of, strict=True))
    assert len({row["caption"] for row in captions}) > 1


def test_a_request_that_fails_leaves_other_neurons_be_and_nothing_is_asked_again(path: Path) -> None:
    failing: list[int] = []

    def script(body: dict[str, Any], number: int) -> Said:
        if not number:
            failing.append(body["seed"])
        if body["seed"] in failing:
            return error(500, "oh", retry_after="0")
        return words("I'm sorry, but I can't help with that.")

    store = belvedere.open(path)
    with serving(script) as server:
        _speak(store, server)
        asked = stage(store, "label_candidates", language="gpt").where("neuron < 3")
        report = asked.fill(progress=False)
        seeds = [body["seed"] for body in server.asked]
    assert (report.failed, [each.error for each in store.errors()]) == (1, ["RequestFailed"])
    assert report.passing == 1
    assert seeds.count(failing[0]) == 6, "as often as a request is tried"
    others = [seed for seed in seeds if seed not in failing]
    assert len(others) == len(set(others)) == 2 * 8
    assert store.sql("SELECT count(*) FROM errors").fetchall() == [(1,)]


def test_a_table_of_prices_without_the_model_is_refused_before_anything_runs(path: Path) -> None:
    store = belvedere.open(path)
    with serving(reply) as server:
        _speak(store, server)
        asked = stage(store, "label_candidates", language="gpt").where("neuron = 1")
        wrong, right = ({name: {"usd_in": 1.0, "usd_out": 2.0}} for name in ("gpt", "small"))
        with belvedere.trace() as seen, pytest.raises(BadSource, match="none of 'small'; it has gpt"):
            asked.fill(progress=False, allowance=Allowance(prices=wrong))
        assert (seen.of("compute"), server.calls, store.errors()) == ([], 0, [])
        assert asked.fill(progress=False, allowance=Allowance(prices=right)).complete


def test_another_endpoint_is_another_model_and_says_so(path: Path) -> None:
    store = belvedere.open(path)
    with serving(reply) as server:
        _speak(store, server)
        asked = stage(store, "label_candidates", language="gpt").where("neuron = 1")
        del os.environ["OPENAI_BASE_URL"]
        wanted = r"host changed: 127\.0\.0\.1 → api\.openai\.com: see OPENAI_BASE_URL"
        with pytest.raises(NameTaken, match=rf"'gpt' stands for openai:small at float32 \({wanted}\)"):
            store.add_language("gpt", "openai:small")
        with pytest.raises(WeightsChanged, match=rf"'gpt' is no longer what openai:small .* \({wanted}\)"):
            asked.fill(progress=False)
    assert server.calls == 0


def test_captions_can_be_candidates_themselves(path: Path) -> None:
    store = belvedere.open(path)
    found = stage(store, "label_candidates", summarise=False).where("neuron = 2").arrow().to_pylist()
    said = stage(store, "captions").where("neuron = 2").arrow()["caption"].to_pylist()
    assert [row["candidate"] for row in found] == list(dict.fromkeys(said))


def test_a_preset_spells_out_parameters_and_gives_way_to_those_given(path: Path) -> None:
    store = belvedere.open(path)
    paper = store.view("neuron_labels", model="net", module="fc", preset="paper")
    spelt: dict[str, Any] = {
        **{"frame": "squashed", "heat": "wrapped", "min_side": 0.0, "min_area": 0.0},
        **{"per_image": 0, "square": 375, "clean": False, "simplify": True, "ranked_first": True},
        **{"colon": "between", "comma": "merge", "background": True, "prompt": "summarise_worked"},
        **{"template": "One realistic image of {concept}", "steps": 50, "guidance": 7.5},
        **{"score": "top_squared_products", "rank_base": 0, "floor": -1.0, "shrink": 32},
    }
    asked = store.view("neuron_labels", model="net", module="fc", **spelt)
    assert [unit.key for unit in paper._view.units[:2]] == [unit.key for unit in asked._view.units[:2]]
    other = store.view("neuron_labels", model="net", module="fc", preset="paper", rank_base=1)
    assert other._view.recipe_key != paper._view.recipe_key
    with pytest.raises(UnknownName, match="papr"):
        store.view("neuron_labels", model="net", module="fc", preset="papr")


def test_a_painted_picture_that_is_lost_is_painted_again(path: Path) -> None:
    store = belvedere.open(path)
    first = tables(store, "neuron = 0")
    for file in (path / "memos" / "pictures").rglob("*.png"):
        file.unlink()
    for record in path.glob("units/candidate_scores/**/*.json"):
        record.unlink()
    assert tables(belvedere.open(path), "neuron = 0") == first


class KeptMeanwhile(Memos):
    """Memos that others put just after one has looked for them in vain."""

    seen: ClassVar[set[str]] = set()

    def get(self, kind: str, cause: Mapping[str, Any]) -> dict[str, Any] | None:
        found = super().get(kind, cause)
        looked = digest.of_facts([kind, dict(cause)])
        first = looked not in self.seen
        self.seen.add(looked)
        return None if first else found


def test_what_another_process_kept_meanwhile_is_what_rows_say(path: Path) -> None:
    store = belvedere.open(path)
    stage(store, "synthetic_images").where("neuron = 0").fill(progress=False)
    memos = store._engine.folder.memos
    for kind, own in (("captions", {"caption": "two pink rings"}), ("paintings", {"status": "theirs"})):
        for each in memos.of(kind):
            memos.put(kind, each["cause"], {**each["value"], **own}, lambda _: False)
    for record in (*path.glob("units/captions/**/*.json"), *path.glob("units/synthetic_images/**/*.json")):
        record.unlink()
    late = belvedere.open(path)
    late._engine.folder.memos = KeptMeanwhile(late._engine.folder.objects)
    said = stage(late, "captions").where("neuron = 0").arrow()["caption"].to_pylist()
    assert set(said) == {"two pink rings"}
    painted = stage(late, "synthetic_images").where("neuron = 0").arrow()["status"].to_pylist()
    assert set(painted) == {"theirs"}


def test_what_was_kept_by_faulty_code_is_made_again_once_its_version_is_raised(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(view: str, what: str, **more: Any) -> float:
        work = stage(belvedere.open(path), view, **more).where("neuron = 0").plan().work
        return work[view].facts()[what] if view in work else 0

    with serving(reply) as server:
        store = belvedere.open(path)
        _speak(store, server)
        asked = {"language": "gpt"}
        stage(store, "synthetic_images", **asked).where("neuron = 0").fill(progress=False)
        assert lacking("synthetic_images", "paintings", **asked) == 0
        for owner, view, what in (
            (paintings, "synthetic_images", "paintings"),
            (candidates, "label_candidates", "calls"),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(owner, "VERSION", 9)
                assert lacking(view, what, **asked) > 0
        with monkeypatch.context() as patch:
            patch.setattr(Captions, "version", 9)
            assert lacking("captions", "captions") > 0
    layer = stage(store, "captions")._view.exemplars.seen.top.activations
    before = (
        causes.layer_cause(layer, ["ab"]),
        causes.embedding_cause(store._engine.folder.names.clip("clip"), ["ab"]),
    )
    monkeypatch.setattr(causes, "VERSION", 9)
    after = (
        causes.layer_cause(layer, ["ab"]),
        causes.embedding_cause(store._engine.folder.names.clip("clip"), ["ab"]),
    )
    assert all(one != other for one, other in zip(before, after, strict=True))
    monkeypatch.setattr(type(layer), "version", 9)
    assert causes.layer_cause(layer, ["ab"]) != after[0]


def test_a_default_that_is_spelt_out_is_painted_with_the_same_noise_and_kept_once(path: Path) -> None:
    store = belvedere.open(path)
    own = store._engine.folder.names.instrument(Painter, "sd").facts["defaults"]
    said = stage(store, "synthetic_images", steps=0, guidance=-1.0)._view._paintings
    spelt = stage(store, "synthetic_images", **own)._view._paintings
    other = stage(store, "synthetic_images", steps=own["steps"] + 1)._view._paintings
    asked = Asked("red stars", 0)
    assert said.cause(asked) == spelt.cause(asked) != other.cause(asked)
    assert said.seed(asked) == spelt.seed(asked) != other.seed(asked)
    assert said.cause(asked)["steps"] == own["steps"]


def test_rows_that_are_pulled_bring_along_what_they_name(path: Path, tmp_path: Path) -> None:
    mine = belvedere.open(shutil.copytree(path, tmp_path / "mine"))
    theirs = belvedere.open(path)
    with serving(reply) as server:
        for store in (theirs, mine):
            _speak(store, server)
        stage(theirs, "synthetic_images", language="gpt").where("neuron < 2").fill(progress=False)
        calls = server.calls
        for view in ("synthetic_images", "captions", "label_candidates"):
            more = {} if view == "captions" else {"language": "gpt"}
            brief = {name: BRIEF[name] for name in STAGES[view]}
            asked: dict[str, Any] = {"model": "net", "images": "scenes", "module": "fc", **brief, **more}
            assert mine.pull(path, view, progress=False, **asked).units == 2
        shutil.rmtree(path / "memos")
        rows = stage(mine, "synthetic_images", language="gpt").where("neuron < 2").arrow().to_pylist()
        assert all(mine.synthetic_image(row["picture"]).size for row in rows if row["status"] == "ok")
        assert "ok" in {row["status"] for row in rows}
        for record in mine.path.glob("units/*/**/*.json"):
            if record.relative_to(mine.path).parts[1] in ("captions", "label_candidates", "synthetic_images"):
                record.unlink()  # the units are gone, what they were made of is not
        again = belvedere.open(mine.path)
        stage(again, "neuron_exemplars").where("neuron < 2").fill(progress=False)
        for view, what in (("captions", "captions"), ("label_candidates", "calls")):
            lazy = stage(again, view, **({} if view == "captions" else {"language": "gpt"})).where(
                "neuron < 2"
            )
            assert lazy.plan().work[view].facts()[what] == 0
            assert lazy.fill(progress=False).complete
        assert (
            stage(again, "synthetic_images", language="gpt")
            .where("neuron < 2")
            .plan()
            .work["synthetic_images"]
            .facts()["paintings"]
            == 0
        )
        assert server.calls == calls


def test_one_table_has_the_labels_of_all_methods(path: Path) -> None:
    store = belvedere.open(path)
    asked = "SELECT neuron, method, label FROM neuron_labels WHERE model = 'net' AND rank = 0"
    assert not store.sql(asked).completeness.complete
    store.view("neuron_labels", method="invert", model="net", module="fc").fill(progress=False)
    found = store.sql(f"{asked} AND neuron < 2 ORDER BY neuron")
    assert found.completeness.complete
    assert [row[:2] for row in found.fetchall()] == [(0, "invert"), (1, "invert")]
    store.publish()
    with duckdb.connect(str(path / "catalog.duckdb"), read_only=True) as con:
        rows = con.execute("SELECT neuron, method FROM neuron_labels WHERE rank = 0 ORDER BY neuron LIMIT 2")
        assert rows.fetchall() == [(0, "invert"), (1, "invert")]
    with pytest.raises(UnknownName, match="invert"):
        store.view("neuron_labels", method="inverted", model="net", module="fc")
