"""Columns of tables: merged, chosen, named and sorted."""

from vllmd.monitoring.dashboards.tables import TableColumn, transformations

COLUMNS = [
    TableColumn("instance", "Host"),
    TableColumn("A", "State"),
    TableColumn("B", "For", "s", 1),
]


def test_columns_of_several_queries_are_merged_chosen_named_and_sorted() -> None:
    merge, choose, organize, sort = transformations(COLUMNS, 2, "-State")
    assert merge["id"] == "merge"
    assert choose["options"]["include"]["names"] == ["instance", "Value #A", "Value #B"]
    assert organize["options"]["renameByName"]["Value #A"] == "State"
    assert organize["options"]["indexByName"] == {"instance": 0, "Value #A": 1, "Value #B": 2}
    assert sort["options"]["sort"] == [{"field": "State", "desc": True}]


def test_value_of_a_single_query_has_no_letter() -> None:
    choose, _organize = transformations(COLUMNS[:2], 1, None)
    assert choose["options"]["include"]["names"] == ["instance", "Value"]


def test_gap_does_not_say_the_words_of_an_empty_panel() -> None:
    properties = {each["id"]: each["value"] for each in COLUMNS[2].override()["properties"]}
    assert properties == {"noValue": "-", "unit": "s", "decimals": 1}


def test_words_colour_the_ground_and_steps_the_text() -> None:
    for column, kind in (
        (TableColumn("A", "S", words={"1": ("ready", "green")}), "color-background"),
        (TableColumn("A", "S", steps=((1, "red"),)), "color-text"),
    ):
        properties = {each["id"]: each["value"] for each in column.override()["properties"]}
        assert properties["custom.cellOptions"]["type"] == kind


def test_link_to_another_host_opens_a_page_of_its_own() -> None:
    for url, blank in (("http://${__data.fields.Host}/", True), ("/d/vllmd-gpu", False)):
        (links,) = [
            each["value"]
            for each in TableColumn("a", "A", link=("T", url)).override()["properties"]
            if each["id"] == "links"
        ]
        assert links == [{"title": "T", "url": url, "targetBlank": blank}]
