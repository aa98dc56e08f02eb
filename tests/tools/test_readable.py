"""The text of web pages: their structure, what is left out, broken ones, and hostile ones."""

import random
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from forebay.builtins.tools.fetch_page.markup import readable_markup
from forebay.builtins.tools.fetch_page.readable import read_page


def text(markup: str) -> str:
    return read_page(markup).text


def plain(written: str) -> str:
    return dedent(written).strip("\n")


# --- structure ----------------------------------------------------------------------------------


def test_headings_and_paragraphs_are_blocks():
    page = "<h1>One</h1><p>First\n  line <em>and</em>\tmore.</p><h3>Three</h3>text<div>block</div>"
    assert text(page) == plain("""
        # One

        First line and more.

        ### Three

        text

        block
        """)


def test_lists_are_nested_and_numbered():
    page = """<ul><li>one<li>two <ol start=3><li>three</li><li><p>four</p><p>more</p></ol></ul>
        <dl><dt>Term<dd>Meaning</dl>"""
    assert text(page) == plain("""
        - one
        - two
          3. three
          4. four
             more
        Term
        Meaning
        """)


def test_tables_have_a_line_for_each_row():
    page = """<table><caption>Cities</caption><thead><tr><th>Name<th>People</thead>
        <tr><td>Rome<td><p>2.8</p> <p>million</p><tr><td>Oslo<td></table>"""
    assert text(page) == plain("""
        Cities

        Name | People
        Rome | 2.8 million
        Oslo |
        """).replace("Oslo |", "Oslo | ")


def test_a_table_that_only_arranges_the_page_is_no_table():
    page = """<table><tr><td><h2>News</h2><p>First.</p></td><td>Side<table><tr><td>a<td>b
        </table></td></tr></table>"""
    assert text(page) == "## News\n\nFirst.\n\nSide\n\na | b"


def test_code_and_quotes_are_kept_as_they_are():
    page = "<pre>def f():\n    return 1\n</pre><blockquote><p>One</p><p>Two</p></blockquote>"
    assert text(page) == "```\ndef f():\n    return 1\n```\n\n> One\n\n> Two"


def test_lines_may_be_broken():
    assert text("<p>one<br>two<br/><br>three") == "one\ntwo\nthree"


def test_signs_are_read():
    assert text("<p>5 &lt; 7 &amp; &#8364;&nbsp;1 &copy; a&shy;b</p>") == "5 < 7 & € 1 © ab"


def test_formulas_are_read_if_they_say_what_they_are():
    assert text('<p>It is <math alttext="x^2"><mi>x</mi></math>.') == "It is x^2."


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<title> A &amp; B\n C</title><h1>No</h1>", "A & B C"),
        ("<h1>The <b>first</b></h1><h1>Second</h1>", "The first"),
        ("<title></title><h1>Heading</h1>", "Heading"),
        ("<p>none", ""),
        ("<svg><title>Icon</title></svg><title>Page</title>", "Page"),
        ("<head><title>One</title></head><title>Two</title>", "One"),
    ],
)
def test_a_page_has_a_title(page: str, title: str):
    assert read_page(page).title == title


# --- links --------------------------------------------------------------------------------------


def test_links_are_written_from_where_the_page_is():
    page = """<p><a href="b">one</a> <a href="/c?d=1&amp;e=2"><b>two</b></a> <a href=#here>here</a>
        <a href="javascript:x()">three</a> <a href="https://x.example/">four</a> <a>five</a>
        <a href="http://[broken">six</a> <a href="f"> </a></p>"""
    found = read_page(page, links_from="https://example.org/a/page")
    assert found.text == (
        "[one](https://example.org/a/b) [two](https://example.org/c?d=1&e=2) here three "
        "[four](https://x.example/) five [six](https://example.org/a/page)"
    )


def test_a_page_may_say_where_its_addresses_begin():
    page = '<base href="/base/"><a href="b">one</a>'
    found = read_page(page, links_from="https://example.org/a/page")
    assert found.text == "[one](https://example.org/base/b)"


def test_links_in_tables_and_lists_and_around_blocks_are_read():
    page = "<ul><li><a href=b>one</a></ul><table><tr><td><a href=c>two</a><td>x</table>"
    page += "<a href=d><div>three</div></a>"
    found = read_page(page, links_from="https://e.org/")
    assert found.text == "- [one](https://e.org/b)\n[two](https://e.org/c) | x\n\nthree"


# --- what is left out ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "noise",
    [
        "<script>var a = '<p>no</p>';</script>",
        "<style>p { content: 'no' }</style>",
        "<SCRIPT type=x>no</ScRiPt >",
        "<noscript>no</noscript>",
        "<template><p>no</template>",
        "<svg><text>no</text></svg>",
        "<iframe src=x>no</iframe>",
        "<!-- no <p>no</p> -->",
        "<!doctype no>",
        "<?no?>",
        "<nav><ul><li>no</ul></nav>",
        "<aside>no</aside>",
        "<header>no</header>",
        "<footer>no</footer>",
        "<select><option>no</select>",
        "<textarea>no</textarea>",
        "<button>no</button>",
        "<dialog open>no</dialog>",
        "<div role=navigation>no</div>",
        "<div hidden>no</div>",
        "<div aria-hidden=true>no</div>",
        '<div style="color: red; DISPLAY : none">no</div>',
        "<span style='visibility:hidden'>no <span>no</span> no</span>",
        "<b hidden>no <b>no</b> no</b>",
        "<x-banner hidden>no</x-banner>",
        "<video><p>no</p></video>",
    ],
)
def test_what_nobody_reads_is_left_out(noise: str):
    assert text(f"<p>before</p>{noise}<p>after</p>") == "before\n\nafter"


def test_what_a_page_hides_until_it_is_loaded_is_read():
    assert text('<body style="visibility: hidden"><p>text</p></body>') == "text"


def test_a_heading_may_be_a_button():
    assert text("<h2><button>Section</button></h2><p>text") == "## Section\n\ntext"


def test_the_head_and_foot_of_an_article_belong_to_it():
    page = "<article><header><h1>Title</h1></header><p>text</p><footer>by Ann</footer></article>"
    assert text(page) == "# Title\n\ntext\n\nby Ann"


def test_only_the_main_part_is_read_if_there_is_one():
    side = "<div>Related: one, two, three</div>" * 3
    for main in ("<main>{}</main>", "<div role=main>{}</div>", "<article>{}</article>"):
        page = f"{side}{main.format('<p>The story. ' * 10)}{side}"
        assert "Related" not in text(page)
        assert text(page).count("The story.") == 10


def test_a_main_part_that_is_nearly_empty_is_not_all():
    page = f"<main><p>Loading</p></main><div>{'<p>The story.</p>' * 10}</div>"
    assert text(page).count("The story.") == 10


def test_several_articles_are_all_read():
    assert text("<article>one</article><article>two</article>") == "one\n\ntwo"


def test_a_page_that_is_one_menu_is_read_all_the_same():
    assert text("<nav><ul><li>one<li>two</ul></nav>") == "- one\n- two"


# --- broken pages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("", ""),
        ("   \n ", ""),
        ("just text", "just text"),
        ("a < b and c > d", "a < b and c > d"),
        ("<p>one<p>two<div>three</p>four", "one\n\ntwo\n\nthree\n\nfour"),
        ("<b>bold<p>still</b> not</p>", "bold\n\nstill not"),
        ("<ul><li>one</ul></ul></li><li>two", "- one\n\n- two"),
        ("<table><td>one<td>two", "one | two"),
        ("<p>one</div></span></b>two", "onetwo"),
        ("<p>end <a href='never closed", "end"),
        ("<p>end<", "end<"),
        ("<p>end</", "end"),
        ("<p>one<!-- never closed <p>two", "one"),
        ("<p>one<script>never closed", "one"),
        ("<p>one<svg>never closed<p>two", "onenever closed\n\ntwo"),
        ("<P CLASS=x>one</P><Div>two</dIV>", "one\n\ntwo"),
        ('<p title="a > b">one</p>', "one"),
        ("<p title='\"'>one</p>", "one"),
        ("<p =x>one", "one"),
        ("<p a=1a=2 / b>one", "one"),
        ("<p>nul\0byte", "nulbyte"),
        ("<h1>one<h2>two", "# one\n\n## two"),
        ("</p></p>one", "one"),
        ("<html><body><p>one</body></html><p>two", "one\n\ntwo"),
    ],
)
def test_broken_pages_are_read_as_well_as_can_be(page: str, found: str):
    assert text(page) == found


PIECES = st.sampled_from(
    [
        *(
            "<p>",
            "</p>",
            "<div>",
            "</div>",
            "<span>",
            "</span>",
            "<ul>",
            "<li>",
            "</ul>",
            "<table>",
        ),
        *(
            "<tr>",
            "<td>",
            "</table>",
            "<b>",
            "</b>",
            "<h1>",
            "</h1>",
            "<pre>",
            "</pre>",
            "<a href=x>",
        ),
        *(
            "</a>",
            "<script>",
            "</script>",
            "<!--",
            "-->",
            "<",
            ">",
            '"',
            "'",
            "=",
            " ",
            "text",
            "&lt",
        ),
        *("<main>", "</main>", "<article>", "<br>", "<button>", "<svg>", "</svg>", "<nav>", "<ol>"),
        *(
            "<blockquote>",
            "</blockquote>",
            "<form>",
            "</form>",
            "<p hidden>",
            "\0",
            "<td ",
            "</",
            "é",
        ),
    ]
)


@given(st.lists(PIECES, max_size=60))
@settings(max_examples=300, deadline=None)
def test_whatever_a_page_is_made_of_it_is_read(pieces: list[str]):
    page = read_page("".join(pieces), links_from="https://example.org/")
    assert "```" in page.text or "\n\n\n" not in page.text
    assert "<script" not in page.text


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read(markup: str):
    read_page(markup, links_from="https://example.org/")


# --- hostile pages ------------------------------------------------------------------------------

SIZE = 400_000
NAMES = (
    *("div", "span", "p", "li", "ul", "ol", "table", "tr", "td", "th", "button", "h1", "form"),
    *("a", "b", "dd", "dl", "caption", "section"),
)


def filled(piece: str) -> str:
    return piece * (SIZE // len(piece))


def scrambled(seed: int) -> str:
    chance = random.Random(seed)
    tags = (f"{chance.choice(('<', '</'))}{chance.choice(NAMES)}>" for _ in range(SIZE // 8))
    return "x".join(tags)


HOSTILE = {
    "nested": filled("<div>"),
    "nested with text": filled("<div>x"),
    "attributes": f"<div {' '.join(f'a{each}' for each in range(50_000))}>x",
    "hidden attributes": f"<div a='>' {' '.join(f'a{each}' for each in range(50_000))}>x",
    "bodies": "".join(f"<body a{each}>" for each in range(30_000)),
    "formatting": "<div>" * 1000 + "".join(f"<b id={n}>" for n in range(9000)) + "</div>x" * 9000,
    "links": filled("<a href=x><div>"),
    "options": f"<select>{filled('<option>x')}",
    "half closed": filled("<span>x</div>"),
    "crossed": filled("<span><div></span>"),
    "tables": filled("<table><tr><td>x"),
    "tables and blocks": filled("<div><table><tr><td></div>"),
    "forms": filled("<form><div></form>"),
    "buttons": filled("<button><div></button>x"),
    "lists": filled("<ul><li>x"),
    "quotes": filled("<blockquote>x"),
    "definitions": filled("<dl><dd><div></dd>"),
    "captions": filled("<table><caption><div></caption>"),
    "dropped": filled("<svg><video><math><object><canvas>"),
    "comments": filled("<!--"),
    "open tags": filled("<a "),
    "open values": filled('<a b="'),
    "spaces": f"<a{' ' * SIZE}>x",
    "less than": filled("<"),
    "titles": filled("<title>x</title>"),
    "styles": f"<p style='display{' ' * SIZE}'>x",
    "scrambled": scrambled(1),
    "scrambled again": scrambled(2),
}


@pytest.mark.parametrize("page", HOSTILE.values(), ids=HOSTILE)
def test_no_page_takes_long_or_grows(page: str):
    found = read_page(page, links_from="https://example.org/")  # some took minutes, unfiltered
    assert len(found.text) < 10 * SIZE


@pytest.mark.parametrize("page", HOSTILE.values(), ids=HOSTILE)
def test_the_parser_is_never_given_what_nests_without_end(page: str):
    tree = LexborHTMLParser(readable_markup(page).body)
    depth, waiting = 0, [(tree.root, 0)]
    while waiting:
        node, level = waiting.pop()
        while node is not None:
            depth = max(depth, level)
            waiting.append((node.first_child, level + 1))
            node = node.next
    assert depth < 1300


def test_a_page_with_too_many_tags_is_cut():
    page = f"<p>begin</p>{'<br>' * 250_000}<p>end</p>"
    assert text(page) == "begin"
