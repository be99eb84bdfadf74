"""Text that becomes HTML, and none that becomes markup."""

from iosim.report.html.markup import Markup, join, number, tag


def test_text_is_escaped_where_it_enters() -> None:
    assert tag("p", '<b> & "q"') == "<p>&lt;b&gt; &amp; &quot;q&quot;</p>"
    assert tag("p", title='"><script>') == '<p title="&quot;&gt;&lt;script&gt;"></p>'
    assert join(["<i>", Markup("<i>")]) == "&lt;i&gt;<i>"


def test_what_a_tag_has_made_is_taken_as_it_is() -> None:
    assert tag("ul", [tag("li", "1"), tag("li", "2")]) == "<ul><li>1</li><li>2</li></ul>"
    assert tag("p", None, "x", None) == "<p>x</p>"


def test_text_taken_out_of_markup_is_text_again() -> None:
    assert tag("p", tag("i", "x").replace("x", "y")) == "<p>&lt;i&gt;y&lt;/i&gt;</p>"


def test_attributes() -> None:
    made = tag("path", class_="a", stroke_width=2.0, x=1.2345, viewBox="0", hidden=True, id=None)
    assert made == '<path class="a" stroke-width="2" x="1.23" viewBox="0" hidden></path>'
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_coordinates_are_short() -> None:
    assert [number(value) for value in (1.0, 0.1, 100.0, 2.345678, -0.5)] == [
        "1", "0.1", "100", "2.35", "-0.5",
    ]  # fmt: skip
