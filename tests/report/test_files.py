"""The files of a report: the page holds what the JSON holds, nothing else, and leads nowhere."""

import base64
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from mer_nas.errors import ConfigError, StudyError
from mer_nas.report import StudySummary, build_report, charts, read_report, write_report
from mer_nas.report.files import Written

ADDRESS = re.compile(r"https?://|url\((?!#)|@import", re.IGNORECASE)
LEADING_OUT = ("src", "href", "action", "poster", "srcset", "data", "xlink:href")


class Page(HTMLParser):
    """What tests ask of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.leads: list[str] = []
        self.values: list[tuple[str, str]] = []
        """Exact value and printed text of every number."""
        self.cells: list[tuple[str, bool]] = []
        """Text of every number cell, and whether a number in it comes from the report."""
        self.names: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.leads += [value or "" for key, value in attrs if key in LEADING_OUT]
        self.names += [given["id"] or ""] if "id" in given else []
        self.text += [" "] if tag in ("td", "th") else []
        if tag == "data":
            self.values.append((given["value"] or "", ""))
        if tag == "td" and given.get("class") == "n":
            self._cell = True
            self.cells.append(("", False))
        elif tag == "data" and self._cell:
            self.cells[-1] = (self.cells[-1][0], True)
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag != "td"
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._open and self._open[-1] == "data":
            value, text = self.values[-1]
            self.values[-1] = (value, text + data)
        if self._cell:
            self.cells[-1] = (self.cells[-1][0] + data, self.cells[-1][1])


def numbers(tree: Any) -> Iterator[float]:
    if isinstance(tree, dict):
        for value in tree.values():
            yield from numbers(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from numbers(value)
    elif isinstance(tree, int | float) and not isinstance(tree, bool):
        yield float(tree)


READY = {
    "whole": "whole",
    "two sets": "whole_two_sets",
    "ensemble": "whole_ensembled",
    "beside an ensemble": "whole_beside_an_ensemble",
}
STATES = [*READY, "no final stage", "nothing complete", "one trial", "no trial"]


@pytest.fixture(scope="module", params=STATES)
def files(
    request: pytest.FixtureRequest, facts: StudySummary, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    """The files of studies in every state in which a report may be asked for."""
    if request.param in READY:
        return cast(Written, request.getfixturevalue(READY[request.param]))
    kept = {"nothing complete": (4, 9, 14, 21), "one trial": (5,), "no trial": ()}
    numbers_kept = kept.get(request.param, range(30))
    fields: dict[str, Any] = {
        "trials": tuple(facts.trials[number] for number in numbers_kept),
        "finalists": (),
        "final_protocol": None,
        "export": None,
    }
    if request.param != "no final stage":
        note = "Two complete trials are needed to tell what mattered."
        fields |= {"importance": None, "importance_note": note}
    return write_report(
        tmp_path_factory.mktemp("study"), build_report(facts.model_copy(update=fields))
    )


@pytest.fixture(scope="module")
def page(whole: Written) -> str:
    """The page of the whole study."""
    return whole.html.read_text(encoding="utf-8")


def test_every_number_of_the_page_stands_in_the_json(files: Written) -> None:
    known = set(numbers(json.loads(files.json.read_text(encoding="utf-8"))))
    page = Page(files.html.read_text(encoding="utf-8"))
    assert len(page.values) > 20
    assert {value for value, _ in page.values if float(value) not in known} == set()


def test_every_score_of_the_text_is_a_number_of_the_json_rounded(files: Written) -> None:
    known = {f"{abs(n):.3f}" for n in numbers(json.loads(files.json.read_text(encoding="utf-8")))}
    text = files.markdown.read_text(encoding="utf-8")
    found = re.findall(r"(?<![\w./])\d\.\d{3}(?![\w.])", text)
    assert len(found) > 20
    assert [score for score in found if score not in known] == []


def test_every_number_in_a_table_comes_from_the_report(files: Written) -> None:
    page = Page(files.html.read_text(encoding="utf-8"))
    made_up = [text for text, marked in page.cells if re.search(r"\d", text) and not marked]
    assert made_up == []


def test_what_is_printed_is_the_rounded_value(files: Written) -> None:
    page = Page(files.html.read_text(encoding="utf-8"))
    plain = [(value, text) for value, text in page.values if re.fullmatch(r"\d\.\d{3}", text)]
    for value, text in plain:
        assert abs(float(value) - float(text)) <= 0.0005 + 1e-12


def test_the_page_needs_nothing_from_outside(files: Written) -> None:
    text = files.html.read_text(encoding="utf-8")
    page = Page(text)
    inside = ("#", "data:application/yaml;base64,")
    assert [lead for lead in page.leads if not lead.startswith(inside)] == []
    assert ADDRESS.search(text) is None
    assert not {"script", "link", "iframe", "img", "object", "embed"} & set(page.tags)


def test_names_inside_the_page_are_unique_and_found(files: Written) -> None:
    text = files.html.read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.names) == len(set(page.names))
    referred = {lead[1:] for lead in page.leads if lead[0] == "#"} | set(
        re.findall(r"url\(#([^)]+)\)", text)
    )
    assert referred <= set(page.names)


def test_the_json_comes_back_as_it_was(files: Written) -> None:
    assert read_report(files.json).to_json() == files.json.read_text(encoding="utf-8")


@pytest.mark.usefixtures("undrawn")
def test_a_matrix_of_numbers_takes_a_line_of_the_json_and_text_is_left_alone(
    two_sets: StudySummary, tmp_path: Path
) -> None:
    said = "a list\n[\n  1,\n  2\n]"
    odd = two_sets.model_copy(update={"environment": {"note": said}})
    path = write_report(tmp_path, build_report(odd)).json
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines.count("[[2, 1, 0], [0, 1, 0], [0, 0, 0]],") == 4  # of 006: two seeds, twice
    assert '"confusion": [[3, 1, 0], [1, 2, 0], [0, 0, 1]],' in lines
    assert read_report(path).study.environment == {"note": said}
    assert read_report(path).study.finalists == odd.finalists


def test_the_page_opens_with_the_winner_and_the_honest_words(page: str) -> None:
    parsed = Page(page)
    text = " ".join("".join(parsed.text).split())
    worth = text.index(
        "On new subjects of the same kind: UF1 0.747 (0.654 to 0.823, 95 % interval over subjects). "
        "That is 0.789 less 0.042, by which the choice of the best among 19 trials flatters it. "
        "The headline is corrected for being the best of many;"
    )
    assert text.index("Winner: trial 27") < worth < text.index("Rank")


@pytest.mark.usefixtures("undrawn")
def test_where_the_optimism_is_a_lower_bound_the_headline_says_so(
    facts: StudySummary, tmp_path: Path
) -> None:
    headline = facts.headline.model_copy(update={"upper_bound": True})  # type: ignore[union-attr]
    selection = facts.selection.model_copy(
        update={"caveat": "7 complete trials, and 10 are needed"}
    )  # type: ignore[union-attr]
    few = facts.model_copy(update={"headline": headline, "selection": selection})
    page = Page(write_report(tmp_path, build_report(few))[1].read_text(encoding="utf-8"))
    text = " ".join("".join(page.text).split())
    assert "On new subjects of the same kind: UF1 at most 0.747" in text
    assert "less at least 0.042, by which" in text
    assert (
        "flatters it (7 complete trials, and 10 are needed). Selected on these subjects;" in text
    )


@pytest.mark.usefixtures("undrawn")
def test_a_final_stage_that_has_come_to_nothing_yet_is_not_said_not_to_be(
    facts: StudySummary, tmp_path: Path
) -> None:
    for final, said in ((None, "there was no"), ("LOSO", "no repetition of the")):
        changed = facts.model_copy(update={"finalists": (), "final_protocol": final})
        page = write_report(tmp_path, build_report(changed)).html.read_text(encoding="utf-8")
        assert f"clips of synthetic; {said} final stage" in " ".join(
            re.sub("<[^>]+>", "", page).split()
        )


@pytest.mark.usefixtures("undrawn")
def test_where_nothing_is_known_of_the_optimism_the_page_says_why(
    facts: StudySummary, tmp_path: Path
) -> None:
    none = {"headline": None, "selection": None, "selection_note": "2 subjects are too few"}
    page = Page(
        write_report(tmp_path, build_report(facts.model_copy(update=none)))[1].read_text(
            encoding="utf-8"
        )
    )
    text = " ".join("".join(page.text).split())
    assert "The selection bias is unknown: 2 subjects are too few. Selected on" in text


@pytest.mark.usefixtures("undrawn")
def test_with_one_seed_the_final_stage_is_not_said_to_have_chosen(
    facts: StudySummary, tmp_path: Path
) -> None:
    one = tuple(f.model_copy(update={"scores": f.scores[:1]}) for f in facts.finalists)
    written = write_report(tmp_path, build_report(facts.model_copy(update={"finalists": one})))
    text = " ".join("".join(Page(written.html.read_text(encoding="utf-8")).text).split())
    assert "The best warm start, prog_s, reaches 0.7" in text
    assert " under the same protocol: a difference of " in text
    assert "by which the winner was chosen" not in text


@pytest.mark.usefixtures("undrawn")
def test_the_trial_that_won_is_marked_whatever_the_final_stage_trained_it_with(
    facts: StudySummary, tmp_path: Path
) -> None:
    retrained = tuple(f.model_copy(update={"key": "f" * 12}) for f in facts.finalists)
    report = build_report(facts.model_copy(update={"finalists": retrained}))
    (row,) = re.findall(
        r'<tr class="winner"><td class="n">(.*?)</td>\s*<td>tpe',
        write_report(tmp_path, report).html.read_text("utf-8"),
    )
    assert "27" in row


@pytest.mark.usefixtures("undrawn")
def test_comparisons_say_that_the_winner_was_chosen_and_no_p_is_nothing(
    facts: StudySummary, tmp_path: Path
) -> None:
    (other,) = facts.comparisons
    sure = other.model_copy(update={"p": 0.00031, "adjusted": 0.00062})
    written = write_report(
        tmp_path, build_report(facts.model_copy(update={"comparisons": (sure,)}))
    )
    words = " ".join("".join(Page(written.html.read_text("utf-8")).text).split())
    for said in (words, written.markdown.read_text("utf-8")):
        assert "0.00031" in said
        assert "0.00062" in said
        assert (
            "Its choice on these subjects flatters the winner by 0.042 UF1 in the search; "
            "differences, intervals and p are not corrected for that."
        ) in said


def test_the_estimates_of_one_search_stand_side_by_side_with_what_they_cost(
    whole_two_sets: Written,
) -> None:
    html = whole_two_sets.html.read_text(encoding="utf-8")
    words = " ".join("".join(Page(html).text).split())
    assert "to be the best 0.831 \N{EN DASH} 13 min 21 s" in words
    assert "(BBC-CV) 0.789 0.712 to 0.858 \N{EN DASH}" in words
    assert "optimism of the choice 0.747 0.654 to 0.823 5 min 0 s" in words
    assert "it never saw 0.679 0.543 to 0.789 1 h 12 min" in words
    assert "they thought 0.828 of themselves; outside" in words
    lines = whole_two_sets.markdown.read_text(encoding="utf-8").splitlines()
    assert "| nested: subjects never seen | 0.679 | 0.543 to 0.789 | 1 h 12 min |" in lines


def test_what_an_epoch_chosen_in_hindsight_would_give_is_marked_as_leaky_wherever_it_stands(
    whole_two_sets: Written,
) -> None:
    html = whole_two_sets.html.read_text(encoding="utf-8")
    parsed = Page(html)
    words = " ".join("".join(parsed.text).split())
    assert "last epoch, same seeds leaky: best of each fold leaky: one best for all" in words
    assert "trial 27 2 0.512 0.732 0.654 5 of 6" in words
    assert "The leaky columns are no scores." in words
    assert [value for value, _ in parsed.values].count("0.7321") == 1
    assert "best, leaky" in html  # in the drawing
    text = whole_two_sets.markdown.read_text(encoding="utf-8")
    assert "## Leaky: the epoch chosen on the test subjects" in text
    assert "| trial 27 | 2 | 0.512 | 0.732 | 0.654 | 5 of 6 |" in text


def test_maps_of_what_the_winner_looks_at_are_drawn_by_class(whole_two_sets: Written) -> None:
    html = whole_two_sets.html.read_text(encoding="utf-8")
    words = " ".join("".join(Page(html).text).split())
    maps = re.findall(r'<svg class="heat".*?aria-label="([^"]*)"', html)
    assert len(maps) == 3 + 3 + 6  # input, gate, two experts of a layer: each for three classes
    assert "Gate of stage 1, class surprise" in maps
    assert "Expert 2 of stage 1, layer 1, class negative" in maps
    assert "stage 1 gate 0.51 to 0.56" in words
    assert "stage 1, layer 1 each position goes to 1 of 2 experts; white 0, darkest 0.4" in words
    assert "stage 2, layer 1 each clip goes to 2 of 2 experts" in words
    lines = whole_two_sets.markdown.read_text(encoding="utf-8").splitlines()
    assert "| negative | 71 % | 29 % |" in lines


def test_published_results_stand_with_what_their_epoch_was_chosen_by(
    facts: StudySummary, tmp_path: Path
) -> None:
    counts = {**facts.data.counts, "clips": 442, "subjects": 68}
    data = facts.data.model_copy(update={"counts": counts})
    report = build_report(facts.model_copy(update={"data": data}))
    written = write_report(tmp_path, report)
    words = " ".join("".join(Page(written.html.read_text(encoding="utf-8")).text).split())
    assert "here htnet_ref of moe, code leaky 0.860" in words
    assert "again: its authors' PyTorch port, last epoch fixed epochs 0.721 0.725" in words
    assert "Leaky: the epoch that is best on the held-out subject." in words
    lines = written.markdown.read_text(encoding="utf-8").splitlines()
    assert "| HTNet (here htnet_ref, code) | leaky | 0.860 | 0.848 |" in lines


def test_no_published_result_stands_beside_scores_of_other_clips(whole: Written) -> None:
    for file in (whole.html, whole.markdown):
        assert "HTNet" not in file.read_text(encoding="utf-8")


def test_yaml_is_attached_and_can_be_read_back(whole: Written) -> None:
    page = whole.html.read_text(encoding="utf-8")
    attached = re.findall(r'href="data:application/yaml;base64,([^"]*)" download="([^"]*)"', page)
    trees = {name: yaml.safe_load(base64.b64decode(text)) for text, name in attached}
    assert trees.keys() == {"best.yaml", "settings.yaml", "environment.yaml"}
    report = json.loads(whole.json.read_text(encoding="utf-8"))
    assert trees["settings.yaml"] == report["study"]["settings"]


def test_tables_say_what_points_are_and_what_networks_cost(page: str) -> None:
    parsed = Page(page)
    text = " ".join("".join(parsed.text).split())
    assert "prog_s published point, reading" in text
    assert "dre_s doi:10.1234/dre_s: our reading of the text" in text
    assert "318,463 (300,001 deployed)" in text
    assert "41.2 ms" in text
    assert "Both as measured on a processor, one thread." in text


def test_the_winners_network_is_drawn(page: str) -> None:
    (drawing,) = re.findall(r'<svg[^>]*aria-label="Diagram.*?</svg>', page, flags=re.DOTALL)
    assert drawing.count(">stage ") == 4
    assert ">128 x 4 x 4<" in drawing


def test_whatever_people_write_stays_text(page: str) -> None:
    assert "<script" not in page
    assert "trial &lt;script&gt;" in page
    assert "the loss is &lt;nan&gt; after 3 steps" in page


def test_text_in_drawings_can_be_selected(page: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) == 8
    assert all("<text" in drawing for drawing in drawings)
    assert any("best so far" in drawing for drawing in drawings)
    assert any("best quarter" in drawing for drawing in drawings)


def test_parameters_with_any_name_can_be_drawn(facts: StudySummary) -> None:
    name = "a <b> & $c_d$"
    trials = tuple(
        trial.model_copy(update={"params": {name: f"$x_{trial.number % 3}$ <i>"}})
        for trial in facts.trials
    )
    report = build_report(facts.model_copy(update={"trials": trials, "importance": {name: 1.0}}))
    assert report.parallel is not None
    for drawing in (charts.slice_chart(report.slices[0]), charts.parallel_chart(report.parallel)):
        assert "<i>" not in drawing
        assert re.search(r"<text[^>]*>\$x_1\$ &lt;i&gt;</text>", drawing)


def test_nothing_is_left_beside_the_files(files: Written) -> None:
    assert sorted(path.name for path in files.json.parent.iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]


@pytest.mark.usefixtures("undrawn")
def test_a_report_of_another_version_is_refused(facts: StudySummary, tmp_path: Path) -> None:
    path = write_report(tmp_path, build_report(facts))[0]
    path.write_text(
        path.read_text(encoding="utf-8").replace("mer-nas report 3", "mer-nas report 1")
    )
    with pytest.raises(
        StudyError, match="schema is 'mer-nas report 1', but this version reads 'mer-nas report 3'"
    ):
        read_report(path)


def test_a_missing_report_is_refused_with_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"report\.json: no such file; `mer-nas report STUDY`"):
        read_report(tmp_path / "report.json")


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("{")
    with pytest.raises(StudyError, match=r"report.json: this is no JSON"):
        read_report(path)


@pytest.mark.usefixtures("undrawn")
def test_a_report_that_was_edited_is_refused_with_the_place(
    facts: StudySummary, tmp_path: Path
) -> None:
    path = write_report(tmp_path, build_report(facts))[0]
    tree = json.loads(path.read_text(encoding="utf-8"))
    tree["answer"]["uf1"]["mean"] = 1.5
    path.write_text(json.dumps(tree))
    with pytest.raises(
        ConfigError, match=r"answer\.uf1\.mean: .*less than or equal to 1, not 1\.5"
    ):
        read_report(path)
